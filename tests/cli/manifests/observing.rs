//! Metrics, alerts and the dashboard.

use std::collections::BTreeSet;
use std::fs;

use sandbox_injector::metrics::{Admission, Lookup, Metrics, Reload};
use serde_json::Value;

use super::labels;
use super::objects::Objects;
use super::selectors::matches;

/// The names of all series, as a scraper sees them.
fn series() -> BTreeSet<String> {
    let metrics = Metrics::new();
    metrics.config_loaded([("csi", "abc")]);
    metrics.runtime("csi").injection();
    metrics.runtime("csi").conflict();
    let name = |line: &str| line.split([' ', '{']).next().unwrap_or_default().to_owned();
    metrics
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(name)
        .collect()
}

/// Checks that every metric in an expression exists.
fn check(expression: &str, series: &BTreeSet<String>) {
    for part in expression.split("sandbox_injector_").skip(1) {
        let end = part
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(part.len());
        let name = format!("sandbox_injector_{}", &part[..end]);
        assert!(series.contains(&name), "no metric {name}: {expression}");
    }
    let values = |label: &str| -> Vec<String> {
        let parts = expression.split(label).skip(1);
        let texts = parts.filter_map(|part| part.trim_start_matches(['=', '~']).strip_prefix('"'));
        texts
            .flat_map(|text| text.split('"').next().unwrap().split('|'))
            .map(str::to_owned)
            .collect()
    };
    let outcomes: Vec<&str> = Admission::ALL
        .iter()
        .map(|outcome| outcome.as_str())
        .collect();
    for outcome in values("outcome") {
        assert!(
            outcomes.contains(&outcome.as_str()),
            "no outcome {outcome}: {expression}"
        );
    }
    let lookups = Lookup::ALL.iter().map(|lookup| lookup.as_str());
    let results: Vec<&str> = lookups
        .chain(Reload::ALL.iter().map(|reload| reload.as_str()))
        .collect();
    for result in values("result") {
        assert!(
            results.contains(&result.as_str()),
            "no result {result}: {expression}"
        );
    }
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}')] {
        assert_eq!(
            expression.matches(open).count(),
            expression.matches(close).count(),
            "{expression}"
        );
    }
}

#[test]
fn prometheus_finds_the_service_and_its_port() {
    let objects = Objects::overlay("base", &["monitoring"]);
    let monitor = objects.get("ServiceMonitor", "sandbox-injector");
    let found: Vec<&Value> = objects
        .of("Service")
        .filter(|service| matches(&monitor["spec"]["selector"], labels(service)))
        .collect();
    assert_eq!(found.len(), 1);
    assert_eq!(
        monitor["spec"]["endpoints"][0]["port"],
        found[0]["spec"]["ports"][0]["name"]
    );
    assert_eq!(monitor["spec"]["endpoints"][0]["path"], "/metrics");
    assert_eq!(
        monitor["spec"]["namespaceSelector"]["matchNames"][0],
        found[0]["metadata"]["namespace"]
    );
    assert_eq!(found[0]["spec"]["publishNotReadyAddresses"], true);
}

#[test]
fn every_alert_uses_existing_metrics_and_says_what_to_do() {
    let objects = Objects::overlay("base", &["monitoring"]);
    let series = series();
    let rules = objects.get("PrometheusRule", "sandbox-injector")["spec"]["groups"][0]["rules"]
        .as_array()
        .unwrap();
    assert!(rules.len() >= 8);
    for rule in rules {
        check(rule["expr"].as_str().unwrap(), &series);
        for annotation in ["summary", "description", "runbook"] {
            let text = rule["annotations"][annotation].as_str().unwrap_or_default();
            assert!(text.len() > 20, "{}: {annotation}", rule["alert"]);
        }
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()));
    }
}

#[test]
fn the_dashboard_uses_existing_metrics() {
    let text = fs::read_to_string("manifests/components/grafana-dashboard/dashboard.json").unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let series = series();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        assert!(
            panel["gridPos"]["x"].as_u64().unwrap() + panel["gridPos"]["w"].as_u64().unwrap() <= 24
        );
        for target in panel["targets"].as_array().unwrap() {
            check(target["expr"].as_str().unwrap(), &series);
        }
    }
    // Everything that is counted is to be seen.
    for name in &series {
        let base = name.trim_end_matches("_sum").trim_end_matches("_count");
        let shown = text.contains(base) || base.ends_with("not_before_timestamp_seconds");
        assert!(shown, "{name} is on no panel");
    }
}
