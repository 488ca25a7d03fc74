//! Bodies that are not a review, or only just one.

use rstest::rstest;
use serde_json::{Value, json};
use support::raw::Raw;

use super::body::Expected::{self, Denied, Malformed, Passed, Patched};
use super::body::{and, body, check, expect, expect_patched, renamed, request, with};
use super::verdict::{Tally, UID, conclude, good, start};

const OBJECT: &str = "/request/object";
const POOL: &str = "agents.kruise.io/sandbox-pool";
const RUNTIMES: &str = "sandbox-injector.io/runtimes";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_truncated_at_any_byte_gets_400() {
    /// How many lengths go over one connection.
    const RUN: usize = 100;
    let service = start().await;
    let good = good();
    let (mut tally, next) = (Tally::default(), request(good.as_bytes()));
    for begin in (0..good.len()).step_by(RUN) {
        let mut connection = Raw::new(service.connect().await.unwrap());
        for length in begin..good.len().min(begin + RUN) {
            connection
                .send(&[request(&good.as_bytes()[..length]), next.clone()].concat())
                .await;
            let answer = connection.answer(false).await.expect("an answer");
            let expected = Malformed(if length == 0 {
                "body: is empty"
            } else {
                "body: not an"
            });
            tally.count_verdict(&check(&answer, &format!("{length} bytes"), UID, expected));
            expect_patched(&mut connection, &format!("{length} bytes")).await;
        }
    }
    conclude(&service, "JSON, cut off", &tally).await;
}

/// For each value of [`WRONG`], what it makes of the review in the place of a value that is read:
/// `m`alformed, `d`enied, `p`assed or patched (`.`).
const READ: &[(&str, &str)] = &[
    ("", "mmmmmm"),
    ("/apiVersion", "mmmmmm"),
    ("/kind", "mmmmmm"),
    ("/request", "mmmmmm"),
    ("/request/uid", "mm.mmm"),
    ("/request/resource", "mmmmmp"),
    ("/request/resource/group", ".mpmmm"),
    ("/request/resource/version", "pmpmmm"),
    ("/request/resource/resource", "pmpmmm"),
    ("/request/name", ".m.mmm"),
    ("/request/namespace", ".m.mmm"),
    ("/request/operation", "pmpmmm"),
    ("/request/userInfo", "mmmmm."),
    ("/request/userInfo/username", ".m.mmm"),
    ("/request/object", "mddddp"),
    ("/request/object/metadata", "dddddp"),
    ("/request/object/metadata/name", ".d.ddd"),
    ("/request/object/metadata/labels", "pddddp"),
    ("/request/object/metadata/annotations", ".dddd."),
    (
        "/request/object/metadata/annotations/sandbox-injector.io~1runtimes",
        ".ddddd",
    ),
    ("/request/object/metadata/ownerReferences", ".ddddd"),
    ("/request/object/metadata/ownerReferences/0", "dddddd"),
    (
        "/request/object/metadata/ownerReferences/0/apiVersion",
        "dd.ddd",
    ),
    ("/request/object/metadata/ownerReferences/0/kind", "dd.ddd"),
    ("/request/object/metadata/ownerReferences/0/name", "dd.ddd"),
    ("/request/object/metadata/ownerReferences/0/uid", ".d.ddd"),
    (
        "/request/object/metadata/ownerReferences/0/controller",
        ".ddd.d",
    ),
    ("/request/object/spec", "dddddd"),
    ("/request/object/spec/containers", "dddddd"),
    ("/request/object/spec/containers/0", "ddddd."),
    ("/request/object/spec/containers/0/name", ".d.ddd"),
    ("/request/object/spec/securityContext", ".dddd."),
];

/// An empty list is none of them: it is what a list of Kubernetes may be.
const WRONG: [&str; 6] = ["null", "7", "\"x\"", "[7]", "true", "{\"a\":{}}"];

fn paths(value: &Value, at: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                paths_below(value, &at, &key.replace('/', "~1"), paths);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                paths_below(value, &at, &number.to_string(), paths);
            }
        }
        _ => {}
    }
    paths.push(at);
}

fn paths_below(value: &Value, at: &str, key: &str, found: &mut Vec<String>) {
    paths(value, format!("{at}/{key}"), found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_type_at_any_place_that_is_read_is_reported_by_its_path() {
    let review: Value = serde_json::from_str(&good()).unwrap();
    let mut all = Vec::new();
    paths(&review, String::new(), &mut all);
    assert!(
        READ.iter()
            .all(|(path, _)| all.iter().any(|known| known == path)),
        "{all:?}"
    );
    let mut bodies = Vec::new();
    for path in &all {
        let outcomes = READ
            .iter()
            .find(|(known, _)| known == path)
            .map_or("......", |(_, outcomes)| *outcomes);
        for (wrong, outcome) in WRONG.iter().zip(outcomes.chars()) {
            let mut review = review.clone();
            *review.pointer_mut(path).unwrap() = serde_json::from_str(wrong).unwrap();
            let expected = match outcome {
                'm' => Malformed("sandbox-injector: "),
                'd' => Denied(": "),
                'p' => Passed,
                _ => Patched,
            };
            let mut body = body(format!("{wrong} at {path}"), review.to_string(), expected);
            if let Some(uid) = review.pointer("/request/uid").and_then(Value::as_str) {
                uid.clone_into(&mut body.uid);
            }
            bodies.push(body);
        }
    }
    expect("JSON, other types", &bodies).await;
}

#[tokio::test]
async fn nesting_is_limited() {
    const TOO_DEEP: Expected = Malformed("nested deeper than 128 levels");
    let arrays = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let objects = |levels: usize| "{\"a\":".repeat(levels) + "7" + &"}".repeat(levels);
    let mut bodies = Vec::new();
    for (levels, in_pod, in_metadata, as_annotations) in [
        (
            10,
            Patched,
            Patched,
            Denied("metadata.annotations: must be an object, not sequence"),
        ),
        // The review, its request and the pod are three levels.
        (
            124,
            Patched,
            Patched,
            Denied("metadata.annotations: must be"),
        ),
        (125, Patched, TOO_DEEP, TOO_DEEP),
        (126, TOO_DEEP, TOO_DEEP, TOO_DEEP),
        (128, TOO_DEEP, TOO_DEEP, TOO_DEEP),
        (1_000, TOO_DEEP, TOO_DEEP, TOO_DEEP),
        (100_000, TOO_DEEP, TOO_DEEP, TOO_DEEP),
    ] {
        for nested in [arrays(levels), objects(levels)] {
            bodies.push(body(
                format!("{levels} in the pod"),
                with(&format!("{OBJECT}/x"), &nested),
                in_pod,
            ));
            let metadata = with(&format!("{OBJECT}/metadata/x"), &nested);
            bodies.push(body(
                format!("{levels} in the metadata"),
                metadata,
                in_metadata,
            ));
        }
        let annotations = with(&format!("{OBJECT}/metadata/annotations"), &arrays(levels));
        bodies.push(body(
            format!("{levels} as annotations"),
            annotations,
            as_annotations,
        ));
        let at_top = if levels > 128 {
            TOO_DEEP
        } else {
            Malformed("body: not an")
        };
        for top in [
            arrays(levels),
            objects(levels),
            "[".repeat(levels),
            "{\"a\":".repeat(levels),
        ] {
            bodies.push(body(format!("{levels} at the top"), top, at_top));
        }
    }
    let brackets = with(
        &format!("{OBJECT}/metadata/annotations/x"),
        &format!("\"{}\"", "[{".repeat(10_000)),
    );
    bodies.push(body("brackets in a string", brackets, Patched));
    expect("JSON, nested", &bodies).await;
}

#[tokio::test]
async fn a_duplicate_key_counts_last_or_rejects_the_review() {
    let twice = |path: &str, key: &str, value: &str, expected| {
        body(
            format!("a second {key} in {path}"),
            and(path, &format!("\"{key}\""), value),
            expected,
        )
    };
    let malformed = Malformed("duplicate field");
    let denied = Denied("duplicate field");
    let metadata = format!("{OBJECT}/metadata");
    let spec = format!("{OBJECT}/spec");
    let container = format!("{spec}/containers/0");
    expect(
        "JSON, keys twice",
        &[
            twice("", "apiVersion", "\"admission.k8s.io/v1\"", malformed),
            twice("", "kind", "\"AdmissionReview\"", malformed),
            twice("", "request", "{}", malformed),
            twice("", "response", "{\"allowed\":true}", Patched),
            twice("/request", "uid", "\"another\"", malformed),
            twice("/request", "object", "{}", malformed),
            twice("/request", "oldObject", "{}", malformed),
            twice("/request", "operation", "\"DELETE\"", malformed),
            twice("/request", "resource", "{}", malformed),
            twice("/request", "name", "\"another\"", malformed),
            twice("/request", "namespace", "\"kube-system\"", malformed),
            twice(
                "/request",
                "userInfo",
                "{\"username\":\"system:admin\"}",
                malformed,
            ),
            twice("/request/resource", "resource", "\"nodes\"", malformed),
            twice(
                "/request/userInfo",
                "username",
                "\"system:admin\"",
                malformed,
            ),
            twice(OBJECT, "kind", "\"Node\"", Patched),
            twice(OBJECT, "metadata", "{}", denied),
            twice(OBJECT, "spec", "{}", denied),
            twice(&metadata, "name", "\"another\"", denied),
            twice(&metadata, "namespace", "\"another\"", Patched),
            twice(&metadata, "labels", "{}", denied),
            twice(&metadata, "annotations", "{}", denied),
            twice(&metadata, "ownerReferences", "[]", denied),
            twice(&format!("{metadata}/labels"), POOL, "\"another\"", Patched),
            twice(
                &format!("{metadata}/annotations"),
                RUNTIMES,
                "\"none\"",
                Passed,
            ),
            twice(
                &format!("{metadata}/annotations"),
                RUNTIMES,
                "\"x\"",
                Denied("runtime \"x\""),
            ),
            twice(&spec, "containers", "[]", denied),
            twice(&spec, "initContainers", "[],\"initContainers\":[]", denied),
            twice(&spec, "volumes", "[],\"volumes\":[]", denied),
            twice(&container, "name", "\"another\"", Patched),
            twice(
                &container,
                "name",
                "7",
                Denied("spec.containers[0]: name: must be a string"),
            ),
            twice(&container, "image", "\"another\"", Patched),
            twice(&container, "env", "null", Patched),
        ],
    )
    .await;
}

#[tokio::test]
async fn oversized_numbers_are_accepted_where_they_are_not_read() {
    let digits = "9".repeat(400);
    let large: [&str; 6] = [
        "1e400",
        "-1e400",
        &digits,
        "-0",
        "1e-400",
        "0.1e+99999999999999999999",
    ];
    let none = [
        "NaN",
        "Infinity",
        "-Infinity",
        "0x10",
        "010",
        "+1",
        ".5",
        "5.",
        "1e",
        "-",
        "1_000",
        "٣",
    ];
    let places = [
        "/metadata/generation",
        "/spec/terminationGracePeriodSeconds",
        "/spec/containers/0/ports",
        "/spec/containers/0/resources",
    ];
    let mut bodies = Vec::new();
    for place in places {
        let written = |number: &str| match place.rsplit_once('/').unwrap().1 {
            "ports" => format!("[{{\"containerPort\":{number}}}]"),
            "resources" => format!("{{\"limits\":{{\"cpu\":{number},\"memory\":{number}}}}}"),
            _ => number.to_owned(),
        };
        let spoilt = |number: &str| with(&format!("{OBJECT}{place}"), &written(number));
        bodies.extend(
            large.map(|number| body(format!("{number} at {place}"), spoilt(number), Patched)),
        );
        bodies.extend(none.map(|number| {
            body(
                format!("{number} at {place}"),
                spoilt(number),
                Malformed("body: not an"),
            )
        }));
    }
    for number in large {
        bodies.push(body(
            "a number as uid",
            with("/request/uid", number),
            Malformed("body: not an"),
        ));
        let name = with(&format!("{OBJECT}/metadata/name"), number);
        bodies.push(body("a number as name", name, Denied("metadata.name: ")));
    }
    expect("JSON, numbers", &bodies).await;
}

#[tokio::test]
async fn strings_may_contain_exactly_what_json_allows() {
    let name = format!("{OBJECT}/metadata/name");
    let labels = format!("{OBJECT}/metadata/labels");
    let unread = format!("{OBJECT}/spec/nodeName");
    let container = format!("{OBJECT}/spec/containers/0/name");
    let mut bodies = Vec::new();
    for lone in [
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud83d x\"",
    ] {
        bodies.extend([
            body(
                "a lone surrogate as uid",
                with("/request/uid", lone),
                Malformed("body: not an"),
            ),
            body(
                "a lone surrogate as name",
                with(&name, lone),
                Denied("metadata.name: "),
            ),
            body(
                "a lone surrogate as key of a label",
                and(&labels, lone, "\"x\""),
                Denied("metadata.labels"),
            ),
            body(
                "a lone surrogate in a container's name",
                with(&container, lone),
                Denied("spec.containers[0]"),
            ),
            body(
                "a lone surrogate that nobody reads",
                with(&unread, lone),
                Patched,
            ),
        ]);
    }
    for bad in [
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u{41}\"",
        "\"\\\"",
        "\"a\nb\"",
        "\"a\0b\"",
        "\"a\tb\"",
        "'x'",
        "x",
        "\"x",
    ] {
        bodies.push(body(
            format!("{bad:?} as name"),
            with(&name, bad),
            Malformed("body: not an"),
        ));
        bodies.push(body(
            format!("{bad:?} unread"),
            with(&unread, bad),
            Malformed("body: not an"),
        ));
    }
    for fine in [
        "\"\\u0000\"",
        "\"\\u001b[2J\"",
        "\"\u{2028}\u{feff}\u{202e}\"",
        "\"\\ud83d\\ude00\"",
        "\"\u{10ffff}\"",
    ] {
        bodies.push(body(
            format!("{fine:?} as name"),
            with(&name, fine),
            Patched,
        ));
        bodies.push(body(
            format!("{fine:?} as key of a label"),
            and(&labels, fine, "\"x\""),
            Patched,
        ));
        bodies.push(body(
            format!("{fine:?} in a container's name"),
            with(&container, fine),
            Patched,
        ));
        let mut as_uid = body(
            format!("{fine:?} as uid"),
            with("/request/uid", fine),
            Patched,
        );
        as_uid.uid = serde_json::from_str(fine).unwrap();
        bodies.push(as_uid);
    }
    // A byte alone, a truncated and an overlong sequence, a surrogate, beyond Unicode.
    for bytes in [
        &b"\xff"[..],
        b"\xe2\x82",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
    ] {
        let invalid = |text: String| {
            let at = text.find("here").unwrap();
            [&text.as_bytes()[..at], bytes, &text.as_bytes()[at + 4..]].concat()
        };
        for text in [
            with("/request/uid", "\"here\""),
            with(&name, "\"here\""),
            with(&unread, "\"here\""),
            and(&labels, "\"here\"", "\"x\""),
            and(&labels, "\"x\"", "\"here\""),
            and(OBJECT, "\"here\"", "7"),
        ] {
            bodies.push(body(
                format!("{bytes:?}"),
                invalid(text),
                Malformed("body: not UTF-8 at byte"),
            ));
        }
    }
    expect("JSON, strings", &bodies).await;
}

#[tokio::test]
async fn keys_are_case_sensitive() {
    // As the API server's own decoder has it: a pod with "Labels" has no labels.
    let key = |path: &str, key: &str, expected| {
        body(format!("{key} for {path}"), renamed(path, key), expected)
    };
    expect(
        "JSON, keys in another case",
        &[
            key(
                "/apiVersion",
                "\"apiversion\"",
                Malformed("body: not an admission.k8s.io/v1"),
            ),
            key(
                "/kind",
                "\"KIND\"",
                Malformed("body: not an admission.k8s.io/v1"),
            ),
            key("/request", "\"Request\"", Malformed("request: is missing")),
            key("/request/uid", "\"UID\"", Malformed("missing field")),
            key(
                "/request/object",
                "\"Object\"",
                Malformed("request.object: is missing"),
            ),
            key("/request/operation", "\"Operation\"", Passed),
            key("/request/resource", "\"RESOURCE\"", Passed),
            key("/request/object/metadata", "\"METADATA\"", Passed),
            key("/request/object/metadata/labels", "\"Labels\"", Passed),
            key(
                "/request/object/metadata/annotations",
                "\"Annotations\"",
                Patched,
            ),
            key(
                "/request/object/spec",
                "\"Spec\"",
                Denied("spec.containers: "),
            ),
            key("/request/object/spec", "\"\\u0073pec\"", Patched),
            key(
                "/request/object/spec",
                "\"spec \"",
                Denied("spec.containers: "),
            ),
            key(
                "/request/object/spec/containers",
                "\"Containers\"",
                Denied("spec.containers: "),
            ),
            key(
                "/request/object/spec/containers/0/name",
                "\"Name\"",
                Patched,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_json_gets_400() {
    let good = good();
    let mut bodies = Vec::new();
    let mut add = |what: &str, bytes: Vec<u8>| bodies.push(body(what, bytes, Malformed("body: ")));
    for (what, text) in [
        ("nothing", String::new()),
        ("white space", " \r\n\t".into()),
        ("two documents", good.repeat(2)),
        ("two documents on two lines", format!("{good}\n{good}")),
        ("a letter behind it", format!("{good}x")),
        ("a comma behind it", format!("{good},")),
        ("a brace behind it", format!("{good}}}")),
        ("a NUL behind it", format!("{good}\0")),
        ("a NUL before it", format!("\0{good}")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a guard against scripts", format!(")]}}'\n{good}")),
        ("a line comment", format!("// x\n{good}")),
        ("a comment behind it", format!("{good} /* x */")),
        ("a hash", format!("# x\n{good}")),
        ("single quotes", good.replace('"', "'")),
        ("keys without quotes", good.replace("\"kind\"", "kind")),
        ("a trailing comma", good.replace("}}", "},}")),
        ("no colons", good.replace(':', " ")),
        ("equals signs", good.replace("\":", "\"=")),
        ("a form feed", format!("\u{c}{good}")),
        ("a no-break space", format!("\u{a0}{good}")),
        (
            "the review as a string",
            Value::from(good.clone()).to_string(),
        ),
        ("the review in a list", format!("[{good}]")),
        (
            "a list of its parts",
            json!(["admission.k8s.io/v1"]).to_string(),
        ),
        (
            "YAML",
            "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n".into(),
        ),
        ("NaN", "NaN".into()),
        ("undefined", "undefined".into()),
        ("True", "True".into()),
        ("a form", "request=%7B%7D".into()),
    ] {
        add(what, text.into_bytes());
    }
    let wide = |to: fn(u16) -> [u8; 2]| good.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    add("UTF-16", wide(u16::to_be_bytes));
    add("UTF-16 the other way round", wide(u16::to_le_bytes));
    add("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec());
    bodies.push(body(
        "white space around it",
        format!(" \r\n\t{good} \r\n\t"),
        Patched,
    ));
    expect("JSON, not at all", &bodies).await;
}

#[rstest]
#[case::string("annotations/x", format!("\"{}\"", "x".repeat(6 << 20)), Patched)]
#[case::escapes("annotations/x", format!("\"{}\"", "\\u0000".repeat(1 << 20)), Patched)]
#[case::name("name", format!("\"{}\"", "x".repeat(6 << 20)), Patched)]
#[case::runtimes("annotations/sandbox-injector.io~1runtimes", format!("\"{}\"", "x".repeat(6 << 20)), Denied("is not configured"))]
#[case::names("annotations/sandbox-injector.io~1runtimes", format!("\"{}\"", "x,".repeat(3 << 20)), Denied("lists more than 256 runtimes"))]
#[case::keys("labels", format!("{{{}\"agents.kruise.io/sandbox-pool\":\"x\"}}", "\"a\":7,".repeat(1 << 20)), Patched)]
#[case::owners("ownerReferences", format!("[{}]", ["{}"; 1 << 20].join(",")), Denied("metadata.ownerReferences"))]
#[tokio::test]
async fn a_large_review_does_not_delay_others(
    #[case] place: &str,
    #[case] raw: String,
    #[case] expected: Expected,
) {
    let path = format!("{OBJECT}/metadata/{place}");
    expect("JSON, large", &[body(place, with(&path, &raw), expected)]).await;
}
