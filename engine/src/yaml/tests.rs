use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

fn good(text: &str) -> Vec<Value> {
    documents(text)
        .into_iter()
        .map(|found| found.unwrap().value)
        .collect()
}

fn problem(text: &str) -> Problem {
    value(text).unwrap_err().problem
}

// Each row was read by kubectl 1.32 (`kubectl label --local -o json`) to the same value.
#[rstest]
#[case("yes", json!(true))]
#[case("y", json!(true))]
#[case("N", json!(false))]
#[case("on", json!(true))]
#[case("Off", json!(false))]
#[case("yEs", json!("yEs"))]
#[case("~", json!(null))]
#[case("Null", json!(null))]
#[case("0755", json!(493))]
#[case("0o17", json!(15))]
#[case("0x1F", json!(31))]
#[case("0b11", json!(3))]
#[case("1_000", json!(1000))]
#[case("+1", json!(1))]
#[case("-0", json!(0))]
#[case("089", json!(89.0))]
#[case("1.", json!(1.0))]
#[case(".5", json!(0.5))]
#[case(".8_486", json!(0.8486))]
#[case("12e3", json!(12000.0))]
#[case("9007199254740993", json!(9_007_199_254_740_993_u64))]
#[case("18446744073709551615", json!(u64::MAX))]
#[case("-9223372036854775808", json!(i64::MIN))]
#[case("99999999999999999999", json!(1e20))]
#[case("123e4567", json!("123e4567"))]
#[case("8302e04b", json!("8302e04b"))]
#[case("cede6d20", json!("cede6d20"))]
#[case("\"8302e04\"", json!("8302e04"))]
#[case("'yes'", json!("yes"))]
#[case("2001-01-01", json!("2001-01-01"))]
#[case("1:20", json!("1:20"))]
#[case("=", json!("="))]
#[case("!!str 12", json!("12"))]
#[case("!!int \"12\"", json!(12))]
#[case("! 12", json!("12"))]
#[case("!!float 1", json!(1))]
#[case("!!null ''", json!(null))]
#[case("500m", json!("500m"))]
#[case("1.5.2", json!("1.5.2"))]
#[case("-", json!(["x"]))]
fn scalars_mean_what_they_mean_to_kubectl(#[case] text: &str, #[case] expected: Value) {
    if text == "-" {
        assert_eq!(value("a:\n- x").unwrap()["a"], expected);
    } else {
        assert_eq!(
            value(&format!("a: {text}\n")).unwrap()["a"],
            expected,
            "{text}"
        );
    }
}

#[test]
fn keys_that_are_not_strings_become_strings() {
    let read = value("8080: a\non: b\n1.5: c\n0x10: d\n1.0: e\n").unwrap();
    assert_eq!(
        read,
        json!({"8080": "a", "true": "b", "1.5": "c", "16": "d", "1": "e"})
    );
}

#[test]
fn keys_keep_their_order() {
    let read = value("b: 1\na: 2\nc: 3\n").unwrap();
    assert_eq!(
        read.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["b", "a", "c"]
    );
}

#[rstest]
#[case("a: 1\nb: 2\na: 3\n", Problem::DuplicateKey("a".into()))]
#[case("{\"a\": 1, \"a\": 2}", Problem::DuplicateKey("a".into()))]
#[case("1: a\n\"1\": b\n", Problem::DuplicateKey("1".into()))]
#[case("? [a]\n: b\n", Problem::Key("a list"))]
#[case("? {a: b}\n: b\n", Problem::Key("a mapping"))]
#[case("~: b\n", Problem::Key("null"))]
#[case("a: !!binary aGVsbG8=\n", Problem::Tag("!!binary".into()))]
#[case("a: !include other.yaml\n", Problem::Tag("!include".into()))]
#[case("a: !!set {b}\n", Problem::Tag("!!set".into()))]
#[case("a: !!int x\n", Problem::NotOfTag { tag: "!!int".into(), value: "x".into() })]
#[case("a: .nan\n", Problem::NonFinite(".nan".into()))]
#[case("a: -.inf\n", Problem::NonFinite("-.inf".into()))]
#[case("a: &x [*x]\n", Problem::Cycle)]
#[case("<<: 1\n", Problem::Merge)]
#[case("<<: [a]\n", Problem::Merge)]
#[case("", Problem::Empty)]
#[case("# nothing\n---\n", Problem::Empty)]
#[case("a: 1\n---\nb: 2\n", Problem::Several)]
#[case("{} {}", Problem::Several)]
fn what_kubernetes_would_misread_is_refused(#[case] text: &str, #[case] expected: Problem) {
    assert_eq!(problem(text), expected);
}

#[test]
fn unknown_aliases_tabs_and_control_characters_are_syntax_errors() {
    for text in [
        "a: *b\n",
        "a:\n\t- b\n",
        "a: [1\n",
        "a: \"b\n",
        "a: b\u{0}c\n",
        "a: b: c\n",
        "%YAML 3.0\n---\na\n",
    ] {
        assert!(
            matches!(problem(text), Problem::Yaml(_)),
            "{text:?}: {:?}",
            value(text)
        );
    }
}

#[test]
fn an_alias_bomb_is_an_error() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..40 {
        let alias = format!("*a{},", level - 1).repeat(9);
        text += &format!("a{level}: &a{level} [{alias}]\n");
    }
    assert_eq!(problem(&text), Problem::Aliases);
    let text = format!(
        "a: &a {}\nb:\n{}",
        "x".repeat(1 << 20),
        "- *a\n".repeat(1 << 12)
    );
    assert_eq!(problem(&text), Problem::Aliases);
}

#[test]
fn a_depth_bomb_is_an_error() {
    for text in [
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("a: {}", "[".repeat(500)),
        "{\"a\":".repeat(100_000),
        format!("a: {}", "{b: ".repeat(500)),
        "- ".repeat(100_000),
        (0..200)
            .map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1))
            .collect::<String>()
            .replace("[*a-1]", "[]"),
    ] {
        let failed = value(&text).unwrap_err();
        assert!(
            matches!(failed.problem, Problem::Depth | Problem::Yaml(_)),
            "{failed}"
        );
    }
    let deepest = format!(
        "a: {}{}",
        "[".repeat(MAX_DEPTH - 1),
        "]".repeat(MAX_DEPTH - 1)
    );
    assert!(value(&deepest).is_ok());
    let json = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(value(&json).is_ok());
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let text = "base: &base {cpu: 1, memory: 1Gi}\nmore: &more {cpu: 2, disk: 3}\na: *base\nb:\n  memory: 2Gi\n  <<: [*base, *more]\n";
    let read = value(text).unwrap();
    assert_eq!(read["a"], json!({"cpu": 1, "memory": "1Gi"}));
    assert_eq!(read["b"], json!({"memory": "2Gi", "cpu": 1, "disk": 3}));
}

#[test]
fn a_quoted_merge_key_is_an_ordinary_key() {
    assert_eq!(value("\"<<\": 1\n").unwrap(), json!({"<<": 1}));
}

#[test]
fn empty_documents_are_skipped_and_not_counted() {
    let text =
        "---\n# Source: chart\n---\nkind: A\n---\n---\nnull\n...\n# end\n---\n\nkind: B\n---\n";
    let found: Vec<_> = documents(text).into_iter().map(Result::unwrap).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].number, found[0].line, &found[0].value["kind"]),
        (1, 4, &json!("A"))
    );
    assert_eq!(
        (found[1].number, found[1].line, &found[1].value["kind"]),
        (2, 12, &json!("B"))
    );
}

#[test]
fn separators_inside_block_scalars_do_not_split() {
    let read = good("a: |\n  x\n  ---\n  y\n---\nb: \"---\"\n");
    assert_eq!(read, [json!({"a": "x\n---\ny\n"}), json!({"b": "---"})]);
}

#[rstest]
#[case("kind: [\n")]
#[case("kind: A\n  bad: x\n")]
#[case("kind: \"A\n")]
#[case("a: 1\na: 2\nrest: {x: [1, 2]}\n")]
#[case("a: !!binary x\n")]
fn a_broken_document_does_not_hide_the_others(#[case] broken: &str) {
    let text = format!("kind: A\n---\n{broken}---\nkind: C\n");
    let found = documents(&text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].as_ref().unwrap().value, json!({"kind": "A"}));
    let error = found[1].as_ref().unwrap_err();
    assert_eq!(error.document, 2);
    assert!(error.line >= 3, "{error}");
    assert!(!error.to_string().contains('\n'));
    let last = found[2].as_ref().unwrap();
    assert_eq!((last.number, &last.value), (3, &json!({"kind": "C"})));
}

#[test]
fn an_error_says_document_line_and_column() {
    let error = documents("a: 1\n---\nb: 1\nb: 2\n")
        .pop()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "document 2, line 4, column 1: duplicate key \"b\"; remove one"
    );
    let error = value("{\n  \"a\": 1\n  \"b\": 2\n}").unwrap_err();
    assert_eq!((error.line, error.column), (3, 3), "{error}");
    assert!(matches!(error.problem, Problem::Json(_)), "{error}");
}

#[rstest]
#[case("{\"a\":1}{\"b\":2}")]
#[case("{\"a\":1}\n{\"b\":2}\n")]
#[case("{\"a\":1}\n---\n{\"b\":2}\n")]
#[case("{a: 1}\n---\n{b: 2}\n")]
#[case("\u{feff}a: 1\r\n---\r\nb: 2\r\n")]
#[case("---\na: 1\n...\n---\nb: 2\n...\n")]
#[case("%YAML 1.1\n---\na: 1\n--- {b: 2}\n")]
fn both_documents_are_read(#[case] text: &str) {
    assert_eq!(good(text), [json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn json_lines_before_a_broken_one_are_read() {
    let found = documents("{\"a\":1}\n\n{\"b\":}\n{\"c\":3}\n");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].as_ref().unwrap().line, 1);
    let error = found[1].as_ref().unwrap_err();
    assert_eq!((error.document, error.line), (2, 3));
}

#[test]
fn yaml_in_braces_is_not_taken_for_json() {
    assert_eq!(
        value("{name: x, image: 'a:b'}\n").unwrap(),
        json!({"name": "x", "image": "a:b"})
    );
    assert_eq!(value("[a, b]\n").unwrap(), json!(["a", "b"]));
    assert!(matches!(problem("{name: x, image: [}\n"), Problem::Yaml(_)));
}

#[test]
fn line_breaks_are_normalised() {
    assert_eq!(
        value("a: |\r\n  x\r\n  y\r\nb: 1\r\n").unwrap(),
        json!({"a": "x\ny\n", "b": 1})
    );
}

#[rstest]
#[case("true")]
#[case("Yes")]
#[case("on")]
#[case("N")]
#[case("1")]
#[case("1e3")]
#[case("1e10")]
#[case("1e999")]
#[case("123e4567")]
#[case("0x1f")]
#[case("0o17")]
#[case("0b1")]
#[case("1_000")]
#[case("1:20")]
#[case("-190:20:30.15")]
#[case("2001-01-01")]
#[case("2001-1-1T10:00:00Z")]
#[case("99999999999999999999999")]
#[case("0xfffffffffffffffffff")]
#[case(".5")]
#[case(".inf")]
#[case("null")]
#[case("~")]
#[case("")]
#[case(" a")]
#[case("a ")]
#[case("a: b")]
#[case("a:")]
#[case("a #b")]
#[case("---")]
#[case("--- a")]
#[case("...")]
#[case("- a")]
#[case("-")]
#[case("? a")]
#[case(": a")]
#[case(",a")]
#[case("[a")]
#[case("]a")]
#[case("{a")]
#[case("}a")]
#[case("#a")]
#[case("&a")]
#[case("*a")]
#[case("!a")]
#[case("|a")]
#[case(">a")]
#[case("'a")]
#[case("\"a")]
#[case("%a")]
#[case("@a")]
#[case("`a")]
#[case("<<")]
#[case("=")]
#[case("a\tb")]
#[case("a\rb")]
#[case("a\u{85}b")]
#[case("a\u{2028}b")]
#[case("\u{feff}a")]
#[case("a\u{0}b")]
#[case("a\u{7f}b")]
#[case("{\"a\": \"b'c\"}")]
fn strings_that_something_else_could_be_are_quoted(#[case] text: &str) {
    let written = to_string(&json!({ "a": text }));
    assert!(
        written.starts_with("a: \"") || written.starts_with("a: '"),
        "{written}"
    );
    assert_eq!(value(&written).unwrap(), json!({ "a": text }), "{written}");
    let key = to_string(&json!({ text: 1 }));
    assert_eq!(value(&key).unwrap(), json!({ text: 1 }), "{key}");
}

#[rstest]
#[case("8302e04b")]
#[case("cede6d20")]
#[case("500m")]
#[case("1Gi")]
#[case("v1.35.1-2592a4872")]
#[case("--endpoint=unix://var/run/csi.sock")]
#[case("-c")]
#[case("/mnt/envd")]
#[case("registry-<region-id>-vpc.ack.aliyuncs.com/acs/agent-runtime:v0.0.5")]
#[case("<region-id>")]
#[case("agents.kruise.io/sandbox-pool")]
#[case("a#b")]
#[case("a:b")]
#[case("8.8.8.8")]
#[case("1.2.3-rc.1")]
#[case("infinity")]
#[case("0b1e6a34-58f7-4f0b-9a55-6d0f2f9c7e11")]
#[case("é")]
fn ordinary_strings_are_not_quoted(#[case] text: &str) {
    let written = to_string(&json!({ "a": text }));
    assert_eq!(written, format!("a: {text}\n"));
    assert_eq!(value(&written).unwrap(), json!({ "a": text }));
}

#[test]
fn a_pod_is_written_as_kubectl_writes_it() {
    let pod = json!({
        "metadata": {"labels": {}, "annotations": {"a": "{\"b\":1}"}},
        "spec": {
            "containers": [
                {"name": "a", "args": ["-c", "set -e\n\necho hi\n"], "env": [{"name": "X", "value": ""}]},
                {"name": "b", "ports": [], "nested": [[1, 2], []], "script": "a\nb"},
            ],
            "x": 1e20, "y": null, "z": false,
        },
    });
    let expected = "\
metadata:
  labels: {}
  annotations:
    a: '{\"b\":1}'
spec:
  containers:
  - name: a
    args:
    - -c
    - |
      set -e

      echo hi
    env:
    - name: X
      value: \"\"
  - name: b
    ports: []
    nested:
    - - 1
      - 2
    - []
    script: |-
      a
      b
  x: 1.0e+20
  \"y\": null
  z: false
";
    assert_eq!(to_string(&pod), expected);
    assert_eq!(value(expected).unwrap(), pod);
}

#[rstest]
#[case("a\nb")]
#[case("a\nb\n")]
#[case("a\n\n")]
#[case("\na")]
#[case("\n")]
#[case(" a\nb")]
#[case("a\n b\n")]
#[case("a\n  \nb")]
#[case("a \nb\t\n")]
#[case("a\n\tb")]
#[case("a\r\nb")]
#[case("# a\n- b\n---\n")]
fn text_of_several_lines_comes_back_exactly(#[case] text: &str) {
    for wrapped in [
        json!({ "a": text, "b": 1 }),
        json!([text, [text], {"a": {"b": text}}]),
        json!(text),
    ] {
        let written = to_string(&wrapped);
        assert_eq!(value(&written).unwrap(), wrapped, "{written}");
    }
}

#[test]
fn very_long_keys_come_back() {
    let key = "k".repeat(3000);
    for wrapped in [
        json!({&key: 1, "b": 2}),
        json!([{&key: [1], "b": {&key: {"c": "x\ny\n"}}}]),
    ] {
        let written = to_string(&wrapped);
        assert_eq!(value(&written).unwrap(), wrapped);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[a-f0-9e.+_:xob-]{0,10}",
        "[ \\t\\n:#'\"|>a-]{0,12}",
        any::<String>(),
        proptest::sample::select(vec![
            "true", "no", "null", "1e5", "0x1", "<<", "=", "---", "...", "\u{feff}"
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((text(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(original in any_value()) {
        let written = to_string(&original);
        if original.is_null() {
            prop_assert_eq!(written, "null\n");
        } else {
            prop_assert_eq!(value(&written), Ok(original), "{}", written);
        }
    }

    #[test]
    fn json_text_is_read_as_serde_json_reads_it(original in any_value()) {
        prop_assume!(original.is_object() || original.is_array());
        let text = original.to_string();
        prop_assert_eq!(value(&text).ok(), serde_json::from_str(&text).ok());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ \\n:#&*!|>'\"%@a1~<{}\\[\\],?-]{0,60}") {
        let _ = documents(&text);
    }
}
