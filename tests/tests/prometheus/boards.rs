//! Each panel of `deploy/grafana` finds data in a real Prometheus that scrapes a real daemon.

use std::fs;
use std::path::Path;

use hookring_faults::{FaultServer, Reply};
use hookring_tests::{Bed, Daemon, wait_for};
use serde_json::{Value, json};

use crate::agents::while_agents_work;
use crate::server::Prometheus;

/// With sinks in every state that a panel shows. Nobody listens on the port of the one that is down.
fn start(bed: &Bed, server: &FaultServer) -> (Daemon, String) {
    server.set_rule(|request| match request.line.ends_with("/v1/logs") {
        true => crate::part_rejected(),
        false => Reply::status(400),
    });
    let sink = |name, url: &str| {
        format!("[sinks.{name}]\ntype = \"webhook\"\nstart = \"oldest\"\nurl = \"{url}\"\n")
    };
    let config = [
        "[http]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\ntype = \"jsonl\"\n".to_owned(),
        sink("down", "http://127.0.0.1:9/"),
        sink("rejects", &server.url("/e")),
        crate::otlp("takes-a-part", server),
    ];
    bed.configure_as_it_is(&config.concat());
    let daemon = bed.start();
    (daemon, crate::address(bed))
}

/// A query as Grafana would send it.
fn expanded(query: &str) -> String {
    let ranges = query.replace("$__rate_interval", "10s").replace("$__range", "1m");
    let all = ["$instance", "$agent", "$sink"];
    all.iter().fold(ranges, |query, variable| query.replace(variable, ".*"))
}

#[test]
fn every_panel_finds_data() {
    let (bed, server) = (Bed::new(), FaultServer::start());
    let (_daemon, address) = start(&bed, &server);
    let prometheus = Prometheus::scraping(&bed, &address);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana");
    let boards: Vec<_> = fs::read_dir(folder).expect("dashboards").collect();
    assert_eq!(boards.len(), 4, "{boards:?}");
    while_agents_work(&bed, || {
        for board in boards {
            let board = fs::read_to_string(board.expect("a dashboard").path()).expect("its text");
            let board: Value = serde_json::from_str(&board).expect("JSON");
            each_panel_finds_data(&prometheus, &board);
        }
        // The rules have data, too, those over hours as soon as they have two scrapes.
        let rules = fs::read_to_string(crate::server::rules()).expect("the rules");
        for rule in rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")) {
            wait_for_data(&prometheus, rule);
        }
        // And what is wrong here is seen.
        wait_for_data(&prometheus, "ALERTS{alertname=\"HookringDeadLetters\",sink=\"rejects\"}");
        wait_for_data(
            &prometheus,
            "ALERTS{alertname=\"HookringSinkRejected\",sink=\"takes-a-part\"}",
        );
    });
}

/// Of a daemon that has counted nothing yet: what comes first is risen, too, though it may make the series that it is
/// counted in.
#[test]
fn the_first_of_its_kind_is_in_the_panels() {
    let bed = Bed::new();
    bed.configure("[http]\nlisten = \"127.0.0.1:0\"\n[sinks.file]\ntype = \"jsonl\"\n");
    let _daemon = bed.start();
    let prometheus = Prometheus::scraping(&bed, &crate::address(&bed));
    wait_for("a scrape", || (prometheus.values("hookring_ready") == [1.0]).then_some(()));
    let denial = json!({"session_id": "s", "hook_event_name": "PermissionDenied", "tool_name": "Bash",
        "tool_use_id": "t", "tool_input": {"command": "rm -rf /"}, "reason": "no"});
    bed.emit_with(&["--agent", "claude-code"], denial.to_string().as_bytes());
    // Its secret is nobody's; how long it took, the agent does not say.
    let call = json!({"agent_action_name": "post_run_command", "trajectory_id": "u", "tool_info": {
        "command_line": "curl -H 'Authorization: Bearer 8f14e45fceea167a5a36dedd4bea2543' a"}});
    bed.emit_with(&["--agent", "windsurf"], call.to_string().as_bytes());
    for (file, title) in [
        ("security.json", "Not allowed"),
        ("security.json", "Secrets taken out"),
        ("security.json", "Critical"),
        ("activity.json", "Tools"),
    ] {
        let query = expanded(&query_of(file, title));
        wait_for(&format!("one in {title}"), || {
            prometheus.values(&query).iter().any(|value| *value >= 1.0).then_some(())
        });
    }
    let tools = "hookring_tool_calls_total{outcome=\"success\"}";
    assert_eq!(prometheus.values(tools), [1.0], "the call, and not the denial");
    assert!(prometheus.values("hookring_tool_duration_seconds_count").is_empty());
}

/// The only query of the panel with this title.
fn query_of(file: &str, title: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana").join(file);
    let board: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("a dashboard")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let panel = panels.iter().find(|panel| panel["title"] == title).expect("the panel");
    panel["targets"][0]["expr"].as_str().expect("a query").to_owned()
}

fn each_panel_finds_data(prometheus: &Prometheus, board: &Value) {
    let panels = board["panels"].as_array().expect("panels");
    assert!(!panels.is_empty(), "{}", board["title"]);
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let query = target["expr"].as_str().expect("a query");
            // That would be there without any data.
            wait_for_data(prometheus, query.strip_suffix(" or vector(0)").unwrap_or(query));
        }
    }
    // What the variables are chosen from.
    for variable in board["templating"]["list"].as_array().expect("variables") {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let metric = query.strip_prefix("label_values(").expect("label_values");
        wait_for_data(prometheus, metric.rsplit_once(',').expect("a label").0);
    }
}

fn wait_for_data(prometheus: &Prometheus, query: &str) {
    let query = expanded(query);
    assert!(!query.contains('$') && !query.contains("vector("), "{query}");
    wait_for(&format!("data by {query}"), || {
        prometheus.values(&query).iter().any(|value| !value.is_nan()).then_some(())
    });
}
