//! Every finding: what triggers it, what nearly does, and that the page about findings says the
//! same.

use std::collections::BTreeMap;
use std::fs;

use engine::config::Config;
use engine::config::config_map::Entries;
use engine::config::finding::{Code, Finding, Severity};
use engine::config::lint::check;
use engine::config::region::Region;
use engine::yaml;
use rstest::rstest;

use super::repository::{self, default_runtimes};

const PAGE: &str = "docs/findings.md";

/// A section of the page: its text, and its examples.
struct Section {
    text: String,
    examples: Vec<Entries>,
}

fn region() -> Option<Region> {
    "cn-hangzhou".parse().ok()
}

fn sections() -> BTreeMap<String, Section> {
    let page = repository::text(PAGE);
    let sections = page.split("\n## ").skip(1).map(|section| {
        let (code, text) = section.split_once('\n').unwrap();
        let blocks = text
            .split("```yaml\n")
            .skip(1)
            .map(|block| block.split("```").next().unwrap());
        let examples = blocks.map(|block| {
            let value =
                yaml::value(block).unwrap_or_else(|error| panic!("{code}: {error}\n{block}"));
            let data = value["data"].as_object().unwrap();
            data.iter()
                .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
                .collect()
        });
        (
            code.to_owned(),
            Section {
                examples: examples.collect(),
                text: text.to_owned(),
            },
        )
    });
    sections.collect()
}

/// What is found in runtimes given as one YAML mapping.
fn findings(runtimes: &str) -> Vec<Finding> {
    let value = yaml::value(runtimes).unwrap();
    let entries: Entries = value
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            )
        })
        .collect();
    check(&entries, region().as_ref()).findings
}

fn line(finding: &Finding) -> String {
    format!(
        "{} {} {} {}: {}",
        finding.severity,
        finding.code,
        finding.runtime,
        finding.place(),
        finding.message
    )
}

#[test]
fn the_page_has_a_section_for_every_code_and_no_other() {
    let mut codes: Vec<String> = Code::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .collect();
    codes.sort();
    assert_eq!(sections().into_keys().collect::<Vec<_>>(), codes);
    for code in Code::ALL {
        let text = &sections()[code.as_str()].text;
        let severity = match code.severity() {
            Severity::Error => "**Error",
            Severity::Warning => "**Warning",
        };
        assert!(text.trim_start().starts_with(severity), "{code}: {text}");
        // The book makes a heading's anchor of its text, and a page's address of its file's name.
        let (page, anchor) = code
            .page()
            .split_once('#')
            .map(|(page, anchor)| (page.to_owned(), anchor.to_owned()))
            .unwrap();
        assert!(
            page.starts_with("https://") && page.ends_with("/findings.html"),
            "{page}"
        );
        assert_eq!(anchor, code.as_str());
    }
}

#[test]
fn every_example_of_the_page_is_found_and_its_fix_is_not() {
    let sections = sections();
    for code in Code::ALL {
        let Section { examples, .. } = &sections[code.as_str()];
        let [bad, fixed] = examples.as_slice() else {
            panic!("{code}: {} examples", examples.len())
        };
        let region = if *code == Code::NoRegion {
            None
        } else {
            region()
        };
        let found = |entries: &Entries| check(entries, region.as_ref()).findings;
        let of_code = |findings: Vec<Finding>| {
            findings
                .into_iter()
                .filter(|finding| finding.code == *code)
                .collect::<Vec<_>>()
        };
        let triggered = of_code(found(bad));
        assert_eq!(triggered.len(), 1, "{code}: {:?}", found(bad));
        assert_eq!(triggered[0].severity, code.severity(), "{code}");
        assert!(
            !triggered[0].message.is_empty() && !triggered[0].message.contains('\n'),
            "{code}"
        );
        assert_eq!(of_code(found(fixed)), [], "{code}");
        let errors = found(fixed)
            .into_iter()
            .filter(|finding| finding.severity == Severity::Error);
        assert_eq!(
            errors.collect::<Vec<_>>(),
            [],
            "{code}: what is fixed can be used"
        );
    }
}

/// Codes with `path` at which they are found, and runtimes in which they are not.
#[rstest]
#[case::nothing("no-runtime", "", "{pools: '[]'}", "{a: {}}")]
#[case::comma("bad-key", "", "{'a,b': {}}", "{'a.b': {}}")]
#[case::pools_is_no_runtime("bad-key", "", "{none: {}}", "{nothing: {}}")]
#[case::empty_value("syntax", "$", "{a: ''}", "{a: '{}'}")]
#[case::key_twice(
    "syntax",
    "$",
    "{a: '{\"labels\": {}, \"labels\": {}}'}",
    "{a: '{\"labels\": {}}'}"
)]
#[case::no_object("wrong-type", "$", "{a: []}", "{a: {}}")]
#[case::a_list("wrong-type", "$.volume", "{a: {volume: {}}}", "{a: {volume: []}}")]
#[case::a_port(
    "wrong-type",
    "$.containers[0].ports[0].containerPort",
    "{a: {containers: [{name: c, image: 'i:1', ports: [{containerPort: '80'}]}]}}",
    "{a: {containers: [{name: c, image: 'i:1', ports: [{containerPort: 80}]}]}}"
)]
#[case::top_level(
    "unknown-field",
    "$.sidecars",
    "{a: {sidecars: []}}",
    "{a: {csiSidecar: []}}"
)]
#[case::plural(
    "unknown-field",
    "$.mainContainers",
    "{a: {mainContainers: {}}}",
    "{a: {mainContainer: {}}}"
)]
#[case::in_main(
    "unknown-field",
    "$.mainContainer.volumeMount",
    "{a: {mainContainer: {volumeMount: []}}}",
    "{a: {mainContainer: {volumeMounts: []}}}"
)]
#[case::in_lifecycle(
    "unknown-field",
    "$.mainContainer.lifecycle.onStart",
    "{a: {mainContainer: {lifecycle: {onStart: {}}}}}",
    "{a: {mainContainer: {lifecycle: {}}}}"
)]
#[case::deep(
    "unknown-field",
    "$.containers[0].resources.limit",
    "{a: {containers: [{name: c, image: 'i:1', resources: {limit: {}}}]}}",
    "{a: {containers: [{name: c, image: 'i:1', resources: {limits: {}}}]}}"
)]
#[case::main_image(
    "unsupported-field",
    "$.mainContainer.image",
    "{a: {mainContainer: {image: 'i:1'}}}",
    "{a: {mainContainer: {image: ''}}}"
)]
#[case::stop_signal(
    "unsupported-field",
    "$.mainContainer.lifecycle.stopSignal",
    "{a: {mainContainer: {lifecycle: {stopSignal: SIGINT}}}}",
    "{a: {mainContainer: {lifecycle: {preStop: {sleep: {seconds: 1}}}}}}"
)]
#[case::container_name(
    "missing-field",
    "$.containers[0].name",
    "{a: {containers: [{image: 'i:1'}]}}",
    "{a: {containers: [{name: c, image: 'i:1'}]}}"
)]
#[case::volume_name(
    "missing-field",
    "$.volume[0].name",
    "{a: {volume: [{emptyDir: {}}]}}",
    "{a: {volume: [{name: v}]}}"
)]
#[case::mount_path(
    "missing-field",
    "$.mainContainer.volumeMounts[0].mountPath",
    "{a: {mainContainer: {volumeMounts: [{name: v}]}, volume: [{name: v}]}}",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}]}, volume: [{name: v}]}}"
)]
#[case::container_dns(
    "invalid-name",
    "$.csiSidecar[0].name",
    "{a: {csiSidecar: [{name: C, image: 'i:1', restartPolicy: Always}]}}",
    "{a: {csiSidecar: [{name: c, image: 'i:1', restartPolicy: Always}]}}"
)]
#[case::env_name(
    "invalid-name",
    "$.mainContainer.env[0].name",
    "{a: {mainContainer: {env: [{name: A=B}]}}}",
    "{a: {mainContainer: {env: [{name: a.b-1}]}}}"
)]
#[case::label_value(
    "invalid-name",
    "$.labels.team",
    "{a: {labels: {team: 'a b'}}}",
    "{a: {labels: {team: a_b}}}"
)]
#[case::own_annotation(
    "invalid-name",
    "$.annotations[\"sandbox-injector.io/runtimes\"]",
    "{a: {annotations: {sandbox-injector.io/runtimes: b}}}",
    "{a: {annotations: {example.com/runtimes: b}}}"
)]
#[case::over_lists(
    "duplicate",
    "$.containers[0].name",
    "{a: {initContainers: [{name: c, image: 'i:1'}], containers: [{name: c, image: 'i:1'}]}}",
    "{a: {initContainers: [{name: c, image: 'i:1'}], containers: [{name: d, image: 'i:1'}]}}"
)]
#[case::path_twice(
    "duplicate",
    "$.mainContainer.volumeMounts[1].mountPath",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}, {name: v, mountPath: /m//}]}, volume: [{name: v}]}}",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}, {name: v, mountPath: /m/n}]}, volume: [{name: v}]}}"
)]
#[case::volume_twice(
    "duplicate",
    "$.volume[1].name",
    "{a: {volume: [{name: v}, {name: v}]}}",
    "{a: {volume: [{name: v}]}, b: {volume: [{name: v}]}}"
)]
#[case::colon(
    "invalid-mount-path",
    "$.mainContainer.volumeMounts[0].mountPath",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: '/m:n'}]}, volume: [{name: v}]}}",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: '/m..n'}]}, volume: [{name: v}]}}"
)]
#[case::dots(
    "invalid-mount-path",
    "$.containers[0].volumeMounts[0].mountPath",
    "{a: {containers: [{name: c, image: 'i:1', volumeMounts: [{name: v, mountPath: /m/../n}]}], volume: [{name: v}]}}",
    "{a: {containers: [{name: c, image: 'i:1', volumeMounts: [{name: v, mountPath: /m/...}]}], volume: [{name: v}]}}"
)]
#[case::device(
    "unknown-volume",
    "$.containers[0].volumeDevices[0].name",
    "{a: {containers: [{name: c, image: 'i:1', volumeDevices: [{name: v, devicePath: /d}]}]}}",
    "{a: {containers: [{name: c, image: 'i:1', volumeDevices: [{name: v, devicePath: /d}]}], volume: [{name: v}]}}"
)]
#[case::of_another(
    "unknown-volume",
    "$.mainContainer.volumeMounts[0].name",
    "{a: {mainContainer: {volumeMounts: [{name: w, mountPath: /m}]}}, b: {volume: [{name: v}]}}",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}]}}, b: {volume: [{name: v}]}}"
)]
#[case::size_limit(
    "invalid-quantity",
    "$.volume[0].emptyDir.sizeLimit",
    "{a: {volume: [{name: v, emptyDir: {sizeLimit: big}}]}}",
    "{a: {volume: [{name: v, emptyDir: {sizeLimit: 1}}]}}"
)]
#[case::no_handler(
    "hook-handlers",
    "$.mainContainer.lifecycle.preStop",
    "{a: {mainContainer: {lifecycle: {preStop: {}}}}}",
    "{a: {mainContainer: {lifecycle: {preStop: null}}}}"
)]
#[case::no_command(
    "hook-handlers",
    "$.mainContainer.lifecycle.preStop.exec.command",
    "{a: {mainContainer: {lifecycle: {preStop: {exec: {}}}}}}",
    "{a: {mainContainer: {lifecycle: {preStop: {exec: {command: [x]}}}}}}"
)]
#[case::sources(
    "volume-sources",
    "$.volume[0]",
    "{a: {volume: [{name: v, emptyDir: {}, image: {reference: i}}]}}",
    "{a: {volume: [{name: v, emptyDir: {}, image: null}]}}"
)]
#[case::second_placeholder(
    "image-placeholder",
    "$.containers[0].image",
    "{a: {containers: [{name: c, image: '<region-id>/<tag>:1'}]}}",
    "{a: {containers: [{name: c, image: '<region-id>/tag:1'}]}}"
)]
#[case::in_volume(
    "new-field",
    "$.volume[0].quantum",
    "{a: {volume: [{name: v, quantum: {}}]}}",
    "{a: {volume: [{name: v, emptyDir: {}}]}}"
)]
#[case::containers(
    "disagreement",
    "$.containers[0]",
    "{a: {containers: [{name: c, image: 'i:1'}]}, b: {containers: [{name: c, image: 'i:2'}]}}",
    "{a: {containers: [{name: c, image: 'i:1', tty: false}]}, b: {containers: [{name: c, image: 'i:1'}]}}"
)]
#[case::lists(
    "disagreement",
    "$.containers[0]",
    "{a: {initContainers: [{name: c, image: 'i:1'}]}, b: {containers: [{name: c, image: 'i:1'}]}}",
    "{a: {initContainers: [{name: c, image: 'i:1'}]}, b: {csiSidecar: [{name: c, image: 'i:1'}]}}"
)]
#[case::env(
    "disagreement",
    "$.mainContainer.env[0]",
    "{a: {mainContainer: {env: [{name: A, value: '1'}]}}, b: {mainContainer: {env: [{name: A}]}}}",
    "{a: {mainContainer: {name: left, env: [{name: A, value: '1'}]}}, b: {mainContainer: {name: right, env: [{name: A}]}}}"
)]
#[case::mounts(
    "disagreement",
    "$.mainContainer.volumeMounts[0]",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}]}, volume: [{name: v}]}, b: {mainContainer: {volumeMounts: [{name: v, mountPath: /m/, readOnly: true}]}, volume: [{name: v}]}}",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}]}, volume: [{name: v}]}, b: {mainContainer: {volumeMounts: [{name: v, mountPath: /m/}]}, volume: [{name: v}]}}"
)]
#[case::hooks(
    "disagreement",
    "$.mainContainer.lifecycle.postStart",
    "{a: {mainContainer: {lifecycle: {postStart: {exec: {command: [x]}}}}}, b: {mainContainer: {lifecycle: {postStart: {exec: {command: [y]}}}}}}",
    "{a: {mainContainer: {lifecycle: {postStart: {exec: {command: [x]}}}}}, b: {mainContainer: {lifecycle: {preStop: {exec: {command: [y]}}}}}}"
)]
#[case::labels(
    "disagreement",
    "$.labels.l",
    "{a: {labels: {l: '1'}}, b: {labels: {l: '2'}}}",
    "{a: {labels: {l: '1'}}, b: {annotations: {l: '2'}}}"
)]
#[case::borrowed_device(
    "borrowed-volume",
    "$.containers[0].volumeDevices[0].name",
    "{a: {containers: [{name: c, image: 'i:1', volumeDevices: [{name: v, devicePath: /d}]}]}, b: {volume: [{name: v}]}}",
    "{a: {containers: [{name: c, image: 'i:1', volumeDevices: [{name: v, devicePath: /d}]}], volume: [{name: v}]}, b: {volume: [{name: v}]}}"
)]
#[case::on_failure(
    "restart-policy",
    "$.initContainers[0].restartPolicy",
    "{a: {initContainers: [{name: c, image: 'i:1', restartPolicy: OnFailure}]}}",
    "{a: {containers: [{name: c, image: 'i:1'}]}}"
)]
#[case::later_placeholder(
    "placeholder",
    "$.mainContainer.env[0].value",
    "{a: {mainContainer: {env: [{name: A, value: 'x < y <your-key>'}]}}}",
    "{a: {mainContainer: {env: [{name: A, value: 'cat <in >out'}]}}}"
)]
#[case::a_label_named_image(
    "placeholder",
    "$.annotations.image",
    "{a: {annotations: {image: '<x>'}}}",
    "{a: {annotations: {image: '<region-id>'}}}"
)]
#[case::in_sidecar(
    "trailing-slash",
    "$.containers[0].volumeMounts[0].mountPath",
    "{a: {containers: [{name: c, image: 'i:1', volumeMounts: [{name: v, mountPath: /m/}]}], volume: [{name: v}]}}",
    "{a: {containers: [{name: c, image: 'i:1', volumeMounts: [{name: v, mountPath: /}]}], volume: [{name: v}]}}"
)]
#[case::latest(
    "floating-image",
    "$.containers[0].image",
    "{a: {containers: [{name: c, image: 'i:latest'}]}}",
    "{a: {containers: [{name: c, image: 'i:latest-1'}]}}"
)]
#[case::digest(
    "floating-image",
    "$.containers[0].image",
    "{a: {containers: [{name: c, image: 'i'}]}}",
    "{a: {containers: [{name: c, image: 'i@sha256:00'}]}}"
)]
#[case::in_a_sidecar(
    "literal-region",
    "$.containers[0].env[0].value",
    "{a: {containers: [{name: c, image: 'i:1', env: [{name: REGION_ID, value: us-west-1}]}]}}",
    "{a: {containers: [{name: c, image: 'i:1', env: [{name: REGION_ID, value: cn-hangzhou}]}]}}"
)]
#[case::capabilities(
    "privileged",
    "$",
    "{a: {containers: [{name: c, image: 'i:1', securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}}",
    "{a: {containers: [{name: c, image: 'i:1', securityContext: {capabilities: {drop: [ALL], add: []}}}]}}"
)]
#[case::bidirectional(
    "privileged",
    "$",
    "{a: {containers: [{name: c, image: 'i:1', volumeMounts: [{name: v, mountPath: /m, mountPropagation: Bidirectional}]}], volume: [{name: v}]}}",
    "{a: {containers: [{name: c, image: 'i:1', volumeMounts: [{name: v, mountPath: /m, mountPropagation: HostToContainer}]}], volume: [{name: v}]}}"
)]
#[case::host_path(
    "privileged",
    "$",
    "{a: {volume: [{name: v, hostPath: {path: /}}]}}",
    "{a: {volume: [{name: v, hostPath: null, emptyDir: {}}]}}"
)]
#[case::of_another_runtime(
    "host-path-in-main",
    "$.mainContainer.volumeMounts[0]",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}]}}, b: {volume: [{name: v, hostPath: {path: /x}}]}}",
    "{a: {mainContainer: {volumeMounts: [{name: v, mountPath: /m}]}, volume: [{name: v, emptyDir: {}}]}, b: {volume: [{name: v, hostPath: {path: /x}}]}}"
)]
#[case::itself(
    "cgroup-v1-path",
    "$.volume[0].hostPath.path",
    "{a: {volume: [{name: v, hostPath: {path: /sys/fs/cgroup/net_cls, type: Directory}}]}}",
    "{a: {volume: [{name: v, hostPath: {path: /sys/fs/cgroup/net_clsx/a, type: Directory}}]}}"
)]
#[case::pinned(
    "old-csi-agent",
    "$.containers[0].image",
    "{a: {containers: [{name: c, image: 'r/csi-agent:v1.35.3-cgroupv1-dport-forbidden@sha256:00'}]}}",
    "{a: {containers: [{name: c, image: 'r/my-csi-agent:v1.35.3-cgroupv1-dport-forbidden'}]}}"
)]
#[case::alone("csi-alone", "$", "{csi: {}, b: {}}", "{csi2: {}}")]
#[case::requests(
    "no-limits",
    "$.containers[0].resources",
    "{a: {containers: [{name: c, image: 'i:1', resources: {requests: {cpu: 1}}}]}}",
    "{a: {containers: [{name: c, image: 'i:1', env: [{name: __IGNORE_RESOURCE__, value: 'true'}]}]}}"
)]
fn a_near_miss_is_none(
    #[case] code: &str,
    #[case] path: &str,
    #[case] hit: &str,
    #[case] near: &str,
) {
    let of_code = |runtimes: &str| -> Vec<(String, String)> {
        let found = findings(runtimes);
        let matching = found.iter().filter(|finding| finding.code.as_str() == code);
        matching
            .map(|finding| (finding.place(), line(finding)))
            .collect()
    };
    let hits = of_code(hit);
    assert!(
        matches!(hits.as_slice(), [(at, _)] if at == path),
        "{hits:?} of {:?}",
        findings(hit)
    );
    assert_eq!(of_code(near), [], "{near}");
}

#[test]
fn without_a_region_every_placeholder_is_found() {
    let text = r#"{"labels": {"r": "<region-id>"}, "volume": [{"name": "v", "hostPath": {"path": "/<region-id>"}}]}"#;
    let entries = Entries::from([("a", text)]);
    let found: Vec<String> = check(&entries, None)
        .findings
        .iter()
        .filter(|finding| finding.code == Code::NoRegion)
        .map(|finding| finding.place())
        .collect();
    assert_eq!(found, ["$.labels.r", "$.volume[0].hostPath.path"]);
    assert!(
        Config::load(&entries, None).is_err() && Config::load(&entries, region().as_ref()).is_ok()
    );
}

#[test]
fn all_problems_come_at_once_in_order_of_place() {
    let found = findings(
        "{b: {volume: [{name: v, emptyDir: {sizeLimit: big}}, {name: V}],
              mainContainer: {image: 'i:1', env: [{name: A, value: 1}, {name: A=}], volumeMounts: [{name: w, mountPath: m/}]},
              containers: [{name: c, imag: 'i'}], labels: {'-': x}},
          a: '{',
          pools: [{runtimes: [b, c], pool: x*, system: agent-sandbox}, {system: opensandbox}],
          none: {}}",
    );
    let places: Vec<String> = found
        .iter()
        .map(|finding| format!("{} {} {}", finding.runtime, finding.place(), finding.code))
        .collect();
    assert_eq!(
        places,
        [
            "a $ syntax",
            "b $.volume[0].emptyDir.sizeLimit invalid-quantity",
            "b $.volume[1].name invalid-name",
            "b $.mainContainer.image unsupported-field",
            "b $.mainContainer.env[0].value wrong-type",
            "b $.mainContainer.env[1].name invalid-name",
            "b $.mainContainer.volumeMounts[0].name unknown-volume",
            "b $.mainContainer.volumeMounts[0].mountPath invalid-mount-path",
            "b $.mainContainer.volumeMounts[0].mountPath trailing-slash",
            "b $.containers[0].image missing-field",
            "b $.containers[0].resources no-limits",
            "b $.containers[0].imag unknown-field",
            "b $.labels.- invalid-name",
            "none  bad-key",
            "pools $[0].runtimes[1] unknown-runtime",
            "pools $[0].pool hashed-name",
            "pools $[1].runtimes missing-field",
        ],
        "{found:#?}"
    );
}

#[rstest]
#[case("cn-hangzhou")]
#[case("cn-beijing")]
fn the_default_configuration_has_no_errors_and_exactly_these_warnings(#[case] region: &str) {
    let entries = default_runtimes();
    let found = check(&entries, region.parse().ok().as_ref()).findings;
    let text: String = found
        .iter()
        .map(|finding| format!("{}\n", line(finding)))
        .collect();
    let path = repository::path(&format!("testdata/findings/default-{region}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{}; UPDATE_GOLDEN=1 writes it",
        path.display()
    );
    assert!(
        found
            .iter()
            .all(|finding| finding.severity == Severity::Warning)
    );
}

#[test]
fn a_large_configuration_is_checked_quickly() {
    let variables: Vec<String> = (0..20_000)
        .map(|n| format!(r#"{{"name":"V{n}"}}"#))
        .collect();
    let text = format!(r#"{{"mainContainer":{{"env":[{}]}}}}"#, variables.join(","));
    let entries: Entries = ["a", "b"].map(|key| (key.to_owned(), text.clone())).into();
    let begun = std::time::Instant::now();
    assert_eq!(check(&entries, None).findings, []);
    let repeated: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"name":"A","value":"{n}"}}"#))
        .collect();
    let text = format!(r#"{{"mainContainer":{{"env":[{}]}}}}"#, repeated.join(","));
    let findings = check(&[("a", text)].into(), None).findings;
    assert!(
        findings
            .iter()
            .all(|finding| finding.code == Code::Duplicate)
            && findings.len() == 9_999
    );
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}
