use serde_json::{Value, json};

use super::html::whole;
use super::junit::{escape, timestamp};
use super::row::Row;
use super::{BackendReport, Group, Status, SuiteReport, Summary};
use crate::Verdict;
use crate::suite::Entry;

fn entry(op: &str, verdict: &str, more: &Value) -> Entry {
    let mut value = json!({
        "op": op, "case": "[2, 3]", "backend": "flex", "dtype": "f64", "order": 1,
        "check": "jacobian", "verdict": verdict, "worst": null, "detects": 1.5e-12,
        "coverage": [6, 6], "seconds": 0.25,
    });
    for (name, field) in more.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    serde_json::from_value(value).expect("an entry")
}

fn worst() -> Value {
    json!({
        "output": 0, "output_index": [1, 2], "input": 1, "index": [0], "analytic": 2.0,
        "numeric": 1.5, "error": 0.5, "bound": 1e-9,
    })
}

fn backends() -> Vec<BackendReport> {
    let flex =
        BackendReport { name: "flex".into(), status: Status::Ran, adapter: None, reason: None };
    let wgpu = BackendReport {
        name: "wgpu".into(),
        status: Status::Skipped,
        adapter: None,
        reason: Some("no adapter <was> found".into()),
    };
    vec![flex, wgpu]
}

/// One of each verdict, and one that was declared.
fn sample() -> SuiteReport {
    let mut report = SuiteReport::new("0.22.1", 42, backends());
    report.push(entry("exp", "pass", &json!({})));
    report.push(entry("exp", "fail", &json!({"reason": "a & b", "worst": worst()})));
    report.push(entry("relu", "unchecked", &json!({"reason": "a kink"})));
    report.push(entry("relu", "unchecked", &json!({"reason": "known", "declared": true})));
    report.push(entry("relu", "invalid", &json!({"reason": "it panicked:\n\u{1b}[1mno\u{1b}[0m"})));
    report
}

/// How often something stands in a text.
fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, rest) =
        page.split_once("<script type=\"application/json\" id=\"data\">").expect("data");
    let (text, _) = rest.split_once("</script>").expect("an end");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn verdicts_are_counted() {
    let report = sample();
    let Summary { pass, fail, unchecked, invalid, seconds } = report.summary;
    assert_eq!((pass, fail, unchecked, invalid), (1, 1, 2, 1));
    assert_eq!(seconds, 1.25);
    assert_eq!(report.declared(), 1);
}

#[test]
fn json_is_read_again() {
    let report = sample();
    let text = report.to_json().expect("JSON");
    assert_eq!(SuiteReport::from_json(&text).expect("a report"), report);
    assert_eq!(count(&text, "\n    {\"op\""), 5, "a line for each check");

    let empty = SuiteReport::new("0.22.1", 1, Vec::new());
    let text = empty.to_json().expect("JSON");
    assert_eq!(SuiteReport::from_json(&text).expect("a report"), empty);
}

#[test]
fn the_json_has_the_fields_that_others_rely_on() {
    let value: Value = serde_json::from_str(&sample().to_json().expect("JSON")).expect("JSON");
    assert_eq!(value["schema"], 1);
    assert_eq!(value["burn"], "0.22.1");
    assert_eq!(value["seed"], 42);
    assert_eq!(value["backends"][0], json!({"name": "flex", "status": "ran"}));
    assert_eq!(
        value["backends"][1],
        json!({"name": "wgpu", "status": "skipped", "reason": "no adapter <was> found"})
    );
    let check = &value["checks"][1];
    assert_eq!(check["verdict"], "fail");
    assert_eq!(check["reason"], "a & b");
    assert_eq!(check["worst"], worst());
    assert_eq!(check["detects"], 1.5e-12);
    assert_eq!(value["summary"]["unchecked"], 2);
}

#[test]
fn a_gradient_that_is_not_finite_is_read_again() {
    let fields =
        json!({"worst": worst(), "worst_entries": [worst(), worst()], "points": [[1.5, 2]]});
    let mut broken = entry("exp", "fail", &fields);
    let found = broken.record.worst.as_mut().expect("a worst entry");
    (found.analytic, found.error) = (f64::NAN, f64::INFINITY);
    broken.record.worst_entries[1].analytic = f64::NEG_INFINITY;
    broken.record.points[0].1 = f64::NAN;
    let mut report = sample();
    report.push(broken);
    let page = data(&report.to_html().expect("a page"));
    assert_eq!(page["worst"][5][1][4], "-inf");
    assert_eq!(page["points"]["5"], json!([1.5, "NaN"]));

    let text = report.to_json().expect("JSON");
    let again = SuiteReport::from_json(&text).expect("a report");
    let record = &again.checks[5].record;
    let found = record.worst.as_ref().expect("a worst entry");
    assert!(found.analytic.is_nan() && found.error.is_nan());
    assert_eq!((found.numeric, found.bound), (1.5, 1e-9));
    assert_eq!(record.worst_entries[0].analytic, 2.0);
    assert!(record.worst_entries[1].analytic.is_nan());
    assert!(record.points[0].0 == 1.5 && record.points[0].1.is_nan());
    assert!(again.checks[0].record.worst.is_none());
}

#[test]
fn another_schema_is_refused() {
    let mut report = sample();
    report.schema = 7;
    let error = SuiteReport::from_json(&report.to_json().expect("JSON")).expect_err("schema 7");
    assert!(error.to_string().contains("schema 7"), "{error}");
    assert!(SuiteReport::from_json("{\"schema\": 1}").is_err());
}

#[test]
fn reports_of_one_run_are_merged() {
    let mut report = sample();
    let mut other = SuiteReport::new("0.22.1", 42, backends());
    other.backends[1] = BackendReport {
        name: "wgpu".into(),
        status: Status::Ran,
        adapter: Some("llvmpipe".into()),
        reason: None,
    };
    other.push(entry("exp", "pass", &json!({"backend": "wgpu"})));
    report.merge(other).expect("one run");
    assert_eq!(report.checks.len(), 6);
    assert_eq!(report.summary.pass, 2);
    assert_eq!(report.summary.seconds, 1.5);
    assert_eq!(report.backends.len(), 2);
    assert_eq!(report.backends[1].status, Status::Ran);

    let before = report.clone();
    let error = report.merge(SuiteReport::new("0.22.1", 43, backends())).expect_err("two seeds");
    assert_eq!(
        error.to_string(),
        "the reports are not of one run: the seed is 42 in one and 43 in the other"
    );
    assert_eq!(report, before);
}

#[test]
fn the_text_has_groups_and_what_did_not_pass() {
    let text = sample().to_string();
    assert!(text.starts_with("flex: ran\nwgpu: skipped, no adapter <was> found\n"), "{text}");
    assert!(text.contains("exp [2, 3] on flex f64, order 1: FAIL"), "{text}");
    let line = "exp                flex     f64     1 passed, 1 FAILED  detects 2e-12  0.50 s\n";
    assert!(text.contains(line), "{text}");
    let end = "1 passed, 1 failed, 2 unchecked, 1 invalid in 1.2 s\n";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(Group(&[]).to_string(), "");
}

#[test]
fn xml_is_escaped() {
    assert_eq!(escape("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
    assert_eq!(escape("x\u{0}\u{8}\u{1b}\u{7f}\u{ffff}y\r"), "xy");
    assert_eq!(escape("one\n\ttwo ∂"), "one&#10;&#9;two ∂");
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(timestamp(0), "1970-01-01T00:00:00");
    assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00");
    assert_eq!(timestamp(951_868_799), "2000-02-29T23:59:59");
    assert_eq!(timestamp(1_735_689_599), "2024-12-31T23:59:59");
    assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00");
}

#[test]
fn junit_has_a_suite_for_each_group_and_a_verdict_for_each_check() {
    let text = sample().to_junit();
    assert_eq!(count(&text, "<testsuite "), 3, "exp, relu, and the skipped backend");
    assert_eq!(count(&text, "<testcase "), 6);
    assert!(text.contains("name=\"exp.flex.f64\" package=\"gradcheck\" id=\"0\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0.500\""), "{text}");
    assert!(text.contains("name=\"relu.flex.f64\" package=\"gradcheck\" id=\"1\" tests=\"3\" failures=\"0\" errors=\"2\" skipped=\"1\""), "{text}");
    assert_eq!(count(&text, "<failure type=\"fail\" message=\"a &amp; b\">"), 1);
    assert_eq!(count(&text, "<error type=\"unchecked\" message=\"a kink\">"), 1);
    assert_eq!(count(&text, "<error type=\"invalid\" message=\"it panicked:&#10;[1mno[0m\">"), 1);
    assert_eq!(count(&text, "<skipped message=\"known\"/>"), 1);
    assert_eq!(count(&text, "<skipped message=\"no adapter &lt;was&gt; found\"/>"), 1);
    assert!(text.contains("name=\"[2, 3] / order 1 / jacobian\""), "{text}");
    assert!(text.contains("analytic 2.000000000e0, expected 1.500000000e0"), "{text}");
}

#[test]
fn checks_of_one_group_are_one_suite_wherever_they_stand() {
    let mut report = SuiteReport::new("0.22.1", 42, Vec::new());
    for op in ["exp", "relu", "exp"] {
        report.push(entry(op, "pass", &json!({})));
    }
    let text = report.to_junit();
    assert_eq!(count(&text, "<testsuite "), 2);
    assert!(
        text.contains("name=\"exp.flex.f64\" package=\"gradcheck\" id=\"0\" tests=\"2\""),
        "{text}"
    );
}

#[test]
fn empty_reports_are_reports() {
    let report = SuiteReport::new("0.22.1", 42, Vec::new());
    let junit = report.to_junit();
    assert_eq!(junit, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n</testsuites>\n");
    let page = report.to_html().expect("a page");
    assert_eq!(data(&page)["verdict"], "");
    assert_eq!(report.to_string(), "0 passed, 0 failed, 0 unchecked, 0 invalid in 0.0 s\n");
}

#[test]
fn nothing_in_the_data_ends_the_script() {
    let evil = "</script><script>alert(1)</script><!-- {{style}}";
    let mut report = SuiteReport::new("0.22.1", 42, Vec::new());
    report.push(entry(evil, "fail", &json!({"reason": evil, "case": evil})));
    let page = report.to_html().expect("a page");
    assert_eq!(count(&page, "</script>"), 2, "the data and the script");
    assert!(!page.contains("<script>alert"));
    let data = data(&page);
    let op = data["op"][0].as_u64().expect("a number") as usize;
    assert_eq!(data["text"][op], evil);
}

#[test]
fn the_page_needs_nothing_else() {
    let page = sample().to_html().expect("a page");
    for reference in ["src=", "@import", "url(", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(reference), "{reference}");
    }
    // The names of the SVG and nothing else.
    assert_eq!(count(&page, "http://"), count(&page, "\"http://www.w3.org/2000/svg\""));
    assert!(!page.contains("https://"));
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("{{"), "a place that was not filled");
}

#[test]
fn the_page_can_be_read_without_scripts() {
    let page = sample().to_html().expect("a page");
    let (_, rest) = page.split_once("<noscript>").expect("a fallback");
    let (text, _) = rest.split_once("</noscript>").expect("an end");
    assert!(text.contains("<tr><th>exp<td>1<td>1<td>0<td>0</tr>"), "{text}");
    assert!(text.contains("<tr><th>relu<td>0<td>0<td>2<td>1</tr>"), "{text}");
    assert!(text.contains("Not passed: 4 of 4"), "{text}");
    let fail = text.find("✗ exp").expect("the failure");
    assert!(fail < text.find("! relu").expect("the invalid one"), "the worst comes first");
    assert!(text.contains("a &amp; b"), "{text}");
}

#[test]
fn the_page_has_what_is_known_of_a_failure() {
    let mut report = SuiteReport::new("0.22.1", 42, Vec::new());
    report.push(entry(
        "exp",
        "fail",
        &json!({
            "worst": worst(),
            "worst_entries": [worst(), worst()],
            "points": [[1.5, 2.0], [1.0, 1.0]],
            "causes": ["a factor"],
            "repeat": "cargo xtask gradcheck exp",
        }),
    ));
    let data = data(&report.to_html().expect("a page"));
    let text = |number: &Value| &data["text"][number.as_u64().expect("a number") as usize];
    assert_eq!(data["worst"][0].as_array().map(Vec::len), Some(2));
    assert_eq!(data["worst"][0][1][4], 2);
    assert_eq!(data["points"]["0"], json!([1.5, 0.5, 1, 0]));
    assert_eq!(text(&data["causes"]["0"][0]), "a factor");
    assert_eq!(text(&data["repeat"]["0"]), "cargo xtask gradcheck exp");
    assert_eq!(data["shortened"], json!([]));
    let junit = report.to_junit();
    assert_eq!(count(&junit, "cargo xtask gradcheck exp"), 1);
    assert_eq!(count(&junit, "a factor"), 1);
}

#[test]
fn a_large_report_makes_a_page_that_is_not() {
    let mut report = SuiteReport::new("0.22.1", 42, Vec::new());
    for number in 0..13_000 {
        let mut check = worst();
        check["analytic"] = json!(1.0 / f64::from(number + 1));
        check["error"] = json!(1e-12);
        let case = format!("case {number}");
        report.push(entry("exp", "pass", &json!({"worst": check, "case": case})));
    }
    let page = report.to_html().expect("a page");
    let json = report.to_json().expect("JSON");
    assert!(page.len() < 2_500_000, "{} bytes", page.len());
    assert!(page.len() < json.len() / 2, "{} of {} bytes", page.len(), json.len());
    assert_eq!(data(&page)["verdict"].as_str().map(str::len), Some(13_000));
}

#[test]
fn verdicts_have_letters() {
    let page = sample().to_html().expect("a page");
    assert_eq!(data(&page)["verdict"], "pfuui");
    assert_eq!(data(&page)["declared"], json!([3]));
    assert_eq!(sample().checks[4].record.verdict, Verdict::Invalid);
}

#[test]
fn what_a_page_leaves_out_is_of_the_loosest_passes() {
    let with = |op, verdict, error: f64| {
        let mut entry = entry(op, verdict, &json!({"worst": worst()}));
        let found = entry.record.worst.as_mut().expect("a worst entry");
        found.error = error * found.bound;
        entry.record.points = vec![(1.0, 1.0); 256];
        entry
    };
    // A loose pass that is the only one of its operation, many of another, and a failure.
    let mut entries = vec![with("relu", "pass", 1e-9)];
    entries.extend((0..1000).map(|number| with("exp", "pass", f64::from(number) / 1000.0)));
    entries.push(with("exp", "fail", 2.0));
    let rows: Vec<_> = entries.iter().map(Row::new).collect();
    let whole = whole(&rows);
    assert!(whole.contains(&1001), "the failure");
    assert!(whole.contains(&0), "the only pass of its operation");
    assert!(whole.contains(&1000) && !whole.contains(&1), "the tightest, not the loosest");
    let bytes = whole.len() * 256 * 18;
    assert!((1_900_000..=2_000_000).contains(&bytes), "{bytes}");
}
