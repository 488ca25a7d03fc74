use super::*;

fn review(request: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{request}}}"#
    )
}

fn reviewed(body: &str) -> Result<Reviewed<'_>, MalformedReview> {
    decode(body.as_bytes()).map(|review| review.reviewed)
}

fn create(object: &str) -> String {
    review(&format!(
        r#"{{"uid":"u","operation":"CREATE","resource":{{"group":"","version":"v1","resource":"pods"}},"object":{object}}}"#
    ))
}

#[test]
fn a_pod_of_the_wrong_shape_is_named_by_its_field() {
    let body =
        create(r#"{"metadata":{"name":"x"},"spec":{"containers":[{"name":"a"},{"name":5}]}}"#);
    let Ok(Reviewed::MalformedPod { error, .. }) = reviewed(&body) else {
        panic!("{body}")
    };
    assert_eq!(error.field, "spec.containers[1]");
    assert_eq!(error.reason, "name: must be a string, not integer");
    let body = create(r#"{"spec":{}}"#);
    let Ok(Reviewed::MalformedPod { error, .. }) = reviewed(&body) else {
        panic!("{body}")
    };
    assert_eq!(error.to_string(), "metadata: is missing");
}

#[test]
fn a_malformed_review_is_rejected_in_one_line() {
    for (body, expected) in [
        ("", "body: is empty; POST an AdmissionReview"),
        (" \n", "body: is empty; POST an AdmissionReview"),
        (
            "[]",
            "body: not an AdmissionReview: must be an object, not sequence",
        ),
        (
            r#"["admission.k8s.io/v1","AdmissionReview",{"uid":"u"}]"#,
            "body: not an AdmissionReview: must be an object, not sequence",
        ),
        (
            &review(r#"["u"]"#),
            "body: not an AdmissionReview: request: must be an object, not sequence",
        ),
        (
            &review(r#"{"uid":"u","resource":["","v1","pods"]}"#),
            "body: not an AdmissionReview: request.resource: must be an object, not sequence",
        ),
        ("{}", "body: not an admission.k8s.io/v1 AdmissionReview"),
        (
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
            "request: is missing",
        ),
        (&review(r#"{"uid":""}"#), "request.uid: is empty"),
        (
            &review("{}"),
            "body: not an AdmissionReview: request: missing field uid (line",
        ),
        (&create("null"), "request.object: is missing"),
    ] {
        let error = decode(body.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{body}: {error}");
        assert!(!error.contains('\n'));
    }
    assert_eq!(
        decode(b"{\"a\":\"\xff\"}").unwrap_err().to_string(),
        "body: not UTF-8 at byte 6"
    );
}

#[test]
fn other_requests_pass_whatever_their_objects_look_like() {
    let body = review(
        r#"{"uid":"u","operation":"CREATE","resource":{"group":"apps","version":"v1","resource":"deployments"},"object":{"spec":7}}"#,
    );
    assert!(matches!(reviewed(&body), Ok(Reviewed::Other)));
    let body = review(
        r#"{"uid":"u","operation":"DELETE","resource":{"version":"v1","resource":"pods"},"object":null}"#,
    );
    assert!(matches!(reviewed(&body), Ok(Reviewed::Other)));
}

#[test]
fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
    let deep = create(&format!(
        r#"{{"metadata":{{}},"x":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    ));
    assert!(
        decode(deep.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("nested deeper")
    );
    let text = create(&format!(
        r#"{{"metadata":{{"name":"{}\"["}},"spec":{{}}}}"#,
        "[".repeat(200)
    ));
    assert!(matches!(reviewed(&text), Ok(Reviewed::Pod(_))));
}
