//! Containers and what is in them.

use serde_json::{Value, json};

use super::{
    CONTAINERS, Generator, PATHS, SECRET, VARIABLES, VOLUMES, push, unique, unique_mounts,
};

impl Generator<'_, '_> {
    fn env(&mut self, value: &str) -> Value {
        let name = self.pick(&VARIABLES);
        match self.form(6, 8) {
            0 => json!({"name": name}),
            1 => json!({"name": name, "value": ""}),
            2 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}),
            3 => json!({"name": name,
                "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}),
            4 => json!({"name": name, "value": value}),
            5 => json!({"name": name, "value": "1"}),
            6 => json!({"name": name, "value": "<region-id>"}),
            _ => json!({"name": "REGION_ID", "value": "cn-hangzhou"}),
        }
    }

    fn mount(&mut self) -> Value {
        let mut mount = json!({"name": self.pick(&VOLUMES), "mountPath": self.pick(&PATHS)});
        match self.form(10, 12) {
            5 => mount["readOnly"] = json!(true),
            6 => mount["readOnly"] = json!(false),
            7 => mount["subPath"] = json!("sub"),
            8 => mount["mountPropagation"] = json!("None"),
            9 => mount["mountPropagation"] = json!("HostToContainer"),
            10 => mount["mountPropagation"] = json!("Bidirectional"),
            11 => mount["subPath"] = json!(""),
            _ => {}
        }
        mount
    }

    fn exec(&mut self, word: &str) -> Value {
        let command = match self.form(7, 12) {
            0 => json!(["bash", "-c", "/start"]),
            1 => json!(["/bin/bash", "-c", "/start"]),
            2 => json!(["bash", "-c", "/start; exit 0"]),
            3 => json!(["/run", "a b", ""]),
            4 => json!(["sh", "/start"]),
            5 | 6 => json!(["echo", word]),
            7 => json!(["bash", "-c"]),
            8 => json!(["sh", "-c", "don't", "--"]),
            9 => json!(["/run", "--", "don't"]),
            10 => json!(["sh", "-c", "(exec /run) && exec \"$@\"", "--", "/start"]),
            _ => json!([]),
        };
        json!({"exec": {"command": command}})
    }

    fn hook(&mut self, word: &str) -> Value {
        if !self.once_in(7) {
            return self.exec(word);
        }
        match self.form(4, 5) {
            0 => json!({"httpGet": {"port": 80}}),
            1 => json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}),
            2 => json!({"tcpSocket": {"port": 80}}),
            3 => json!({"sleep": {"seconds": 1}}),
            _ => json!({}),
        }
    }

    fn lifecycle(&mut self, word: &str) -> Value {
        let mut lifecycle = json!({});
        if self.once_in(2) {
            lifecycle["postStart"] = self.hook(word);
        }
        if self.once_in(3) {
            lifecycle["preStop"] = self.hook(word);
        }
        lifecycle
    }

    /// The container of that name, usually the same one.
    pub(super) fn container(&mut self, word: &str) -> Value {
        let name = self.pick(&CONTAINERS);
        let mut container = match name {
            "alpha" => json!({"name": name, "image": "registry/image:1", "restartPolicy": "Always",
                "env": [{"name": "A", "value": "1"}], "volumeMounts": [{"name": "scratch", "mountPath": "/a"}]}),
            "beta" => {
                json!({"name": name, "image": "registry/image:1", "restartPolicy": "Always", "args": ["--beta"],
                "securityContext": {"privileged": true},
                "volumeMounts": [{"name": "host", "mountPath": "/b/c", "mountPropagation": "Bidirectional"},
                    {"name": "scratch", "mountPath": "/d"}]})
            }
            "gamma" => json!({"name": name, "image": "registry/image:1", "command": ["/gamma"],
                "volumeMounts": [{"name": "scratch", "mountPath": "/a"}, {"name": "files", "mountPath": "/d"}]}),
            name => json!({"name": name, "image": "registry/image:1"}),
        };
        if self.below(5) > 2 {
            for _ in 0..self.below(3) {
                self.change(&mut container, word);
            }
        }
        unique(&mut container, "env", |env| env["name"].to_string());
        unique_mounts(&mut container);
        container
    }

    fn change(&mut self, container: &mut Value, word: &str) {
        let sidecar = container["restartPolicy"] == "Always";
        match self.form(20, 27) {
            0 => container["image"] = json!("registry/image:2"),
            1 => container["command"] = json!(["sh", "-c", SECRET]),
            2 => container["args"] = json!(["--flag", ""]),
            3 => push(container, "env", self.env(word)),
            4 | 5 => push(container, "volumeMounts", self.mount()),
            6 => container["securityContext"] = json!({"privileged": true}),
            7 => container["securityContext"] = json!({"runAsUser": 0}),
            8 => container["securityContext"] = json!({"privileged": false}),
            9 if sidecar => container["lifecycle"] = json!({"postStart": self.exec(word)}),
            10 if sidecar => container["livenessProbe"] = json!({"httpGet": {"port": 80}}),
            11 => container["resources"] = json!({"limits": {"cpu": "1000m", "memory": "1024Mi"}}),
            12 => container["resources"] = json!({"limits": {"cpu": 1}, "requests": {"cpu": 0.5}}),
            13 => container["resources"] = json!({"limits": {"example.com/gpu": 1}}),
            14 => container["ports"] = json!([{"containerPort": 53}]),
            15 => {
                container["ports"] =
                    json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}])
            }
            16 => {
                container["image"] = json!(format!("registry/image:1@sha256:{}", "0a".repeat(32)))
            }
            17 => container["futureField"] = json!({"x": 1}),
            18 => container["imagePullPolicy"] = json!("Always"),
            19 => container["terminationMessagePath"] = json!("/dev/termination-log"),
            20 => {
                container["resources"] =
                    json!({"limits": {"cpu": "1e3Ki"}, "requests": {"a.b/gpu": "0.5"}})
            }
            21 => container["ports"] = json!([{"containerPort": 1, "hostPort": 1}]),
            22 => push(
                container,
                "volumeDevices",
                json!({"name": self.pick(&VOLUMES), "devicePath": "/d"}),
            ),
            23 => container["livenessProbe"] = self.hook(word),
            24 => container["lifecycle"] = self.lifecycle(word),
            25 => container["restartPolicy"] = json!("Always"),
            26 => container["image"] = json!("registry/image"),
            _ => {}
        }
    }

    /// The part of a runtime that goes into the main container.
    pub(super) fn main_container(&mut self) -> Value {
        let mut main = json!({
            "env": self.list(2, |this| this.env("x")),
            "volumeMounts": self.list(2, Self::mount),
            "resources": {},
        });
        match self.below(12) {
            8 => main["name"] = json!(""),
            9 | 10 => main["name"] = json!("main"),
            11 => main["name"] = json!("second"),
            _ => {}
        }
        if self.below(5) > 1 {
            main["lifecycle"] = self.lifecycle("x");
        }
        unique(&mut main, "env", |env| env["name"].to_string());
        unique_mounts(&mut main);
        main
    }

    /// The pod's own main container.
    pub(super) fn own_container(&mut self) -> Value {
        let mut main = json!({
            "name": "main",
            "image": "ubuntu:24.04",
            "env": self.list(2, |this| this.env(SECRET)),
            "volumeMounts": self.list(2, Self::mount),
        });
        if self.below(5) > 2 {
            main["lifecycle"] = self.lifecycle(SECRET);
        }
        unique_mounts(&mut main);
        match self.below(12) {
            5 => main["env"] = Value::Null,
            6 => main["volumeMounts"] = Value::Null,
            7 => main["lifecycle"] = Value::Null,
            8 => main["lifecycle"] = json!({"postStart": {"exec": {"command": []}}}),
            9 => main["lifecycle"] = json!({"preStop": null}),
            10 => main["futureField"] = json!([1, {"x": null}]),
            11 => main["command"] = json!(["sh", "-c", SECRET]),
            _ => {}
        }
        main
    }
}
