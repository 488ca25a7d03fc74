//! The manifests fit together, and fit the program: names, ports, selectors, certificates, flags,
//! rules, metrics.

mod objects;
mod observing;
mod runtimes;
mod selectors;
mod webhooks;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::pattern::Pattern;
use engine::systems::System;
use objects::{COMPONENTS, Objects};
use rstest::rstest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const NAMESPACE: &str = "sandbox-injector-system";
const NAME: &str = "sandbox-injector";

/// The one container.
fn container(objects: &Objects) -> &Value {
    let containers = &objects.get("Deployment", NAME)["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
    &containers[0]
}

/// The values of a flag.
fn flag<'o>(objects: &'o Objects, name: &str) -> Vec<&'o str> {
    let arguments = container(objects)["args"].as_array().unwrap().iter();
    let values =
        arguments.filter_map(|argument| argument.as_str()?.strip_prefix(name)?.strip_prefix('='));
    values.collect()
}

/// The name under which the API server calls.
fn server_name(objects: &Objects) -> String {
    let service = &objects.get("MutatingWebhookConfiguration", NAME)["webhooks"][0]["clientConfig"]
        ["service"];
    format!(
        "{}.{}.svc",
        service["name"].as_str().unwrap(),
        service["namespace"].as_str().unwrap()
    )
}

fn labels(object: &Value) -> &Map<String, Value> {
    object["metadata"]["labels"].as_object().unwrap()
}

#[test]
fn every_file_is_yaml_that_kubectl_reads() {
    for directory in ["manifests", "certs"] {
        for file in objects::files(Path::new(directory)) {
            for document in engine::yaml::documents(&std::fs::read_to_string(&file).unwrap()) {
                let document =
                    document.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                assert!(document.value["kind"].is_string(), "{}", file.display());
            }
        }
    }
}

#[rstest]
#[case("base", &[])]
#[case("cert-manager", &[])]
#[case("cert-manager", &COMPONENTS)]
#[case("static-cert", &COMPONENTS)]
#[case("dev", &COMPONENTS[1..])]
fn every_reference_between_objects_resolves(#[case] overlay: &str, #[case] components: &[&str]) {
    let objects = Objects::overlay(overlay, components);
    let mut names = BTreeSet::new();
    for object in &objects.0 {
        let field = |field: &str| {
            object["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            names.insert((
                object["kind"].to_string(),
                field("namespace"),
                field("name")
            )),
            "twice: {object}"
        );
        assert!(
            ["", NAMESPACE, "sandbox-system"].contains(&field("namespace").as_str()),
            "{object}"
        );
    }

    let deployment = objects.get("Deployment", NAME);
    let template = &deployment["spec"]["template"];
    let spec = &template["spec"];
    let pod = labels(template);
    assert!(selectors::matches(&deployment["spec"]["selector"], pod));
    for constraint in spec["topologySpreadConstraints"].as_array().unwrap() {
        assert!(selectors::matches(&constraint["labelSelector"], pod));
    }
    let budget = objects.get("PodDisruptionBudget", NAME);
    assert!(selectors::matches(&budget["spec"]["selector"], pod));
    objects.get(
        "ServiceAccount",
        spec["serviceAccountName"].as_str().unwrap(),
    );
    objects.get("PriorityClass", spec["priorityClassName"].as_str().unwrap());
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        let binding = objects.get(kind, NAME);
        objects.get(
            binding["roleRef"]["kind"].as_str().unwrap(),
            binding["roleRef"]["name"].as_str().unwrap(),
        );
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": spec["serviceAccountName"], "namespace": NAMESPACE}])
        );
    }

    let port = |name: &Value| {
        let ports = container(&objects)["ports"].as_array().unwrap();
        let found = ports.iter().find(|port| &port["name"] == name);
        found.unwrap_or_else(|| panic!("no port {name}"))["containerPort"]
            .as_u64()
            .unwrap()
    };
    for service in objects.of("Service") {
        assert!(selectors::matches(
            &json!({"matchLabels": service["spec"]["selector"]}),
            pod
        ));
        service["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .for_each(|service| {
                port(&service["targetPort"]);
            });
    }
    let bound = |name| {
        flag(&objects, name)[0]
            .rsplit_once(':')
            .unwrap()
            .1
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(port(&"webhook".into()), bound("--bind"));
    assert_eq!(port(&"metrics".into()), bound("--metrics-bind"));
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let http = &container(&objects)[probe]["httpGet"];
        assert_eq!(http["path"], path);
        assert_eq!(http["port"], "metrics");
    }
    for configuration in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ] {
        for webhook in objects.get(configuration, NAME)["webhooks"]
            .as_array()
            .unwrap()
        {
            let called = &webhook["clientConfig"]["service"];
            let service = objects.get("Service", called["name"].as_str().unwrap());
            assert_eq!(service["metadata"]["namespace"], called["namespace"]);
            let ports = service["spec"]["ports"].as_array().unwrap();
            let entry = ports
                .iter()
                .find(|port| port["port"] == called["port"])
                .unwrap();
            assert_eq!(entry["targetPort"], "webhook");
        }
    }
    if components.contains(&"network-policy") {
        let policy = &objects.get("NetworkPolicy", NAME)["spec"];
        assert!(selectors::matches(&policy["podSelector"], pod));
        for rule in policy["ingress"].as_array().unwrap() {
            rule["ports"].as_array().unwrap().iter().for_each(|rule| {
                port(&rule["port"]);
            });
        }
    }
}

#[rstest]
#[case("cert-manager")]
#[case("dev")]
fn the_program_has_every_flag_and_takes_its_value(#[case] overlay: &str) {
    let objects = Objects::overlay(overlay, &[]);
    let arguments: Vec<&str> = container(&objects)["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap())
        .collect();
    assert_eq!(arguments[0], "serve");
    let binary = || Command::new(env!("CARGO_BIN_EXE_sandbox-injector"));
    let help = binary().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | '=' | '.'))
        .filter(|word| word.starts_with("--"))
        .collect();
    for argument in &arguments[1..] {
        let name = argument.split_once('=').expect("write --flag=value").0;
        assert!(
            known.contains(name),
            "serve has no flag {name}; it has {known:?}"
        );
    }

    // Values are parsed before anything is done, and a directory without a certificate ends it.
    let empty = tempfile::TempDir::new().unwrap();
    let run = arguments
        .iter()
        .map(|argument| match argument.split_once('=') {
            Some(("--tls-cert-dir", _)) => format!("--tls-cert-dir={}", empty.path().display()),
            _ => (*argument).to_owned(),
        });
    let output = binary()
        .args(run)
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("tls.crt"), "{said}");
}

/// The rules allow what the program requests, and nothing else.
#[test]
fn the_service_account_may_do_what_the_program_does_and_no_more() {
    let objects = Objects::overlay("cert-manager", &COMPONENTS);
    // One GET for a pod's owner (whose kinds are a part of the documentation of `serve --lookups`),
    // one for the region.
    assert_eq!(
        objects.get("ClusterRole", NAME)["rules"],
        json!([
            {"apiGroups": ["agents.kruise.io"], "resources": ["sandboxes", "sandboxsets"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
        ])
    );
    // The ConfigMap of --config-map is listed by its name and watched.
    let (namespace, name) = flag(&objects, "--config-map")[0].split_once('/').unwrap();
    let role = objects.get("Role", NAME);
    assert_eq!(
        role["rules"],
        json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["list", "watch"]}])
    );
    assert_eq!(role["metadata"]["namespace"], namespace);
    assert_eq!(
        objects.get("RoleBinding", NAME)["metadata"]["namespace"],
        namespace
    );
    let spec = &objects.get("Deployment", NAME)["spec"]["template"]["spec"];
    assert_eq!(spec["automountServiceAccountToken"], true);
    let node =
        json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}});
    assert!(
        container(&objects)["env"]
            .as_array()
            .unwrap()
            .contains(&node)
    );
}

#[test]
fn privileged_runtimes_are_for_the_controllers_of_the_sandbox_systems() {
    let objects = Objects::overlay("base", &[]);
    let creators: Vec<Pattern> = flag(&objects, "--privileged-creators")
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let systems = [
        System::OpenKruise,
        System::AgentSandbox,
        System::OpenSandbox,
    ];
    let accounts: Vec<&str> = systems
        .iter()
        .flat_map(|system| system.controller_accounts())
        .copied()
        .collect();
    assert_eq!(
        creators.iter().map(Pattern::as_str).collect::<Vec<_>>(),
        accounts
    );
    let allowed = |user: &str| creators.iter().any(|pattern| pattern.matches(user));
    for (name, review) in webhooks::reviews() {
        let user = review["request"]["userInfo"]["username"].as_str().unwrap();
        assert!(allowed(user), "{name}: {user}");
    }
    for user in [
        "kubernetes-admin",
        "system:serviceaccount:default:default",
        "system:serviceaccount:kube-system:replicaset-controller",
        "system:serviceaccount:tenant:ack-agent-sandbox-controller",
    ] {
        assert!(!allowed(user), "{user}");
    }
}

#[test]
fn the_pod_is_hardened_and_outlives_its_drain() {
    let objects = Objects::overlay("base", &[]);
    let deployment = &objects.get("Deployment", NAME)["spec"];
    let spec = &deployment["template"]["spec"];
    let container = container(&objects);
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        spec["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    assert!(spec["hostNetwork"].is_null() && spec["hostPID"].is_null());
    assert!(container["resources"]["requests"]["cpu"].is_string());
    assert!(container["resources"]["limits"]["memory"].is_string());
    assert!(container["resources"]["limits"]["cpu"].is_null());
    let keys: Vec<&Value> = spec["topologySpreadConstraints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|constraint| &constraint["topologyKey"])
        .collect();
    assert_eq!(
        keys,
        ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    );

    // A request that comes last in the drain may take as long as Kubernetes allows.
    let sandbox_injector::duration::GoDuration(drain) =
        flag(&objects, "--drain")[0].parse().unwrap();
    let grace = Duration::from_secs(spec["terminationGracePeriodSeconds"].as_u64().unwrap());
    let longest = sandbox_injector::server::Limits::default()
        .times
        .max_timeout;
    assert!(
        grace > drain + longest,
        "{grace:?} is not longer than {drain:?} and {longest:?}"
    );

    let labels = labels(objects.get("Namespace", NAMESPACE));
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let image = container["image"].as_str().unwrap();
    assert_eq!(
        image,
        format!("sandbox-injector:{}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn cert_manager_makes_the_certificate_that_is_mounted_and_trusted() {
    let objects = Objects::overlay("cert-manager", &[]);
    let certificate = objects.get("Certificate", NAME);
    let spec = &certificate["spec"];
    assert!(
        spec["dnsNames"]
            .as_array()
            .unwrap()
            .contains(&server_name(&objects).into())
    );
    assert_eq!(spec["privateKey"]["algorithm"], "ECDSA");
    assert_eq!(spec["privateKey"]["size"], 256);
    assert_eq!(spec["privateKey"]["rotationPolicy"], "Always");
    let hours = |field: &str| {
        spec[field]
            .as_str()
            .unwrap()
            .strip_suffix('h')
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    // Renewed well before the alert on a quarter of its life.
    assert!(hours("renewBefore") / hours("duration") > 0.3);
    mounted(&objects, spec["secretName"].as_str().unwrap());

    let issuer = objects.get(
        spec["issuerRef"]["kind"].as_str().unwrap(),
        spec["issuerRef"]["name"].as_str().unwrap(),
    );
    let cas: Vec<&Value> = objects
        .of("Certificate")
        .filter(|certificate| certificate["spec"]["isCA"] == true)
        .collect();
    assert_eq!(cas.len(), 1);
    assert_eq!(
        issuer["spec"]["ca"]["secretName"],
        cas[0]["spec"]["secretName"]
    );
    assert_eq!(cas[0]["spec"]["privateKey"]["rotationPolicy"], "Never");

    let Some(objects) = Objects::only_rendered("cert-manager", &[]) else {
        return;
    };
    for kind in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ] {
        assert_eq!(
            objects.get(kind, NAME)["metadata"]["annotations"]["cert-manager.io/inject-ca-from"],
            format!("{NAMESPACE}/{NAME}")
        );
    }
}

/// The Secret is mounted where the program looks for it, under the names that it looks for.
fn mounted(objects: &Objects, secret: &str) {
    let volumes = &objects.get("Deployment", NAME)["spec"]["template"]["spec"]["volumes"];
    let volume = volumes
        .as_array()
        .unwrap()
        .iter()
        .find(|volume| volume["secret"]["secretName"] == secret)
        .unwrap();
    let mounts = container(objects)["volumeMounts"].as_array().unwrap();
    let mount = mounts
        .iter()
        .find(|mount| mount["name"] == volume["name"])
        .unwrap();
    assert_eq!(mount["mountPath"], flag(objects, "--tls-cert-dir")[0]);
    assert!(
        mount["subPath"].is_null(),
        "a rotated certificate would not be seen"
    );
    assert_eq!(
        volume["secret"]["items"],
        json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}])
    );
}

#[rstest]
#[case("static-cert")]
#[case("dev")]
fn the_static_certificate_is_mounted_and_its_ca_is_the_ca_bundle(#[case] overlay: &str) {
    let Some(objects) = Objects::only_rendered(overlay, &[]) else {
        return;
    };
    let secret = objects.get("Secret", "sandbox-injector-tls");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"]["namespace"], NAMESPACE);
    mounted(&objects, "sandbox-injector-tls");
    // Go's decoder skips line ends, and so must this one.
    let decode = |text: &Value| {
        STANDARD
            .decode(text.as_str().unwrap().replace('\n', ""))
            .unwrap()
    };
    let data = secret["data"].as_object().unwrap();
    assert_eq!(
        data.keys().collect::<Vec<_>>(),
        ["ca.crt", "tls.crt", "tls.key"],
        "ca.key stays out of the cluster"
    );

    let (ca, serving) = (decode(&data["ca.crt"]), decode(&data["tls.crt"]));
    for kind in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ] {
        for webhook in objects.get(kind, NAME)["webhooks"].as_array().unwrap() {
            assert_eq!(decode(&webhook["clientConfig"]["caBundle"]), ca);
        }
    }
    let (ca, serving) = (
        CertificateDer::from_pem_slice(&ca).unwrap(),
        CertificateDer::from_pem_slice(&serving).unwrap(),
    );
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, serving) = X509Certificate::from_der(&serving).unwrap();
    assert_eq!(serving.issuer(), ca.subject());
    let names = &serving
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert!(names.contains(&GeneralName::DNSName(&server_name(&objects))));
}

#[test]
fn the_commands_of_the_documents_make_a_certificate_for_the_service() {
    let name = server_name(&Objects::overlay("base", &[]));
    for file in [
        "certs/README.md",
        "manifests/overlays/static-cert/kustomization.yaml",
        "manifests/README.md",
    ] {
        let text = std::fs::read_to_string(file).unwrap();
        let commands: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("sandbox-injector certs "))
            .collect();
        assert!(!commands.is_empty(), "{file}");
        for command in commands {
            assert!(
                command.contains(&format!("--out certs/out --dns-name {name}")),
                "{file}: {command}"
            );
        }
    }
}

#[test]
fn dev_has_one_replica_that_logs_everything() {
    let Some(objects) = Objects::only_rendered("dev", &[]) else {
        return;
    };
    assert_eq!(objects.get("Deployment", NAME)["spec"]["replicas"], 1);
    assert_eq!(flag(&objects, "--log-level"), ["debug"]);
    objects.get("ConfigMap", "sandbox-injection-config");
    objects.get("Namespace", "sandbox-system");
}

#[test]
fn the_base_never_contains_the_namespace_of_the_sandbox_controllers() {
    for overlay in ["base", "cert-manager", "static-cert"] {
        let Some(objects) = Objects::only_rendered(overlay, &COMPONENTS) else {
            return;
        };
        let namespaces: Vec<&Value> = objects
            .of("Namespace")
            .map(|namespace| &namespace["metadata"]["name"])
            .collect();
        assert_eq!(
            namespaces,
            [NAMESPACE],
            "deleting the manifests would delete it"
        );
    }
}
