//! `ringload compare` over real sockets, with toy relays whose faults are known.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const RINGLOAD: &str = env!("CARGO_BIN_EXE_ringload");
const DEADLINE: Duration = Duration::from_secs(120);

/// What every run here has: few messages, short deadlines.
const FEW: &[&str] = &[
    "--rounds=1",
    "--messages=200",
    "--round-time=3s",
    "--round-deadline=4s",
    "--sessions=5",
    "--no-half-load",
    "--quiet",
];

fn toy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Whether the toys can run.
fn python_is_there() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        eprintln!("python3 is not installed: the toy servers cannot run, nothing was tested");
    }
    there
}

/// A recipe that runs the toy relay with a fault.
fn recipe(folder: &Path, name: &str, fault: &str) -> String {
    let path = folder.join(format!("{name}.toml"));
    let toy = toy("toy_relay.py");
    let text = format!(
        r#"
name = "{name}"
protocol = "smtp"
promise = "250 means that the message is in the memory of a toy."
version = ["echo", "toy 1"]
start = ["python3", "{{toy}}", "{{port}}", "{{sink_port}}", "{fault}", "{{folder}}"]
[needs]
toy = ["{}"]
[tls.none]
[files]
"toy.conf" = "sink {{sink_host}}"
"#,
        toy.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn compare(folder: &Path, arguments: &[&str]) -> (Output, Value) {
    let out = folder.join("figures.json");
    let output = Command::new(RINGLOAD)
        .args(["compare", "--folder"])
        .arg(folder)
        .arg("--out")
        .arg(&out)
        .args(FEW)
        .args(arguments)
        .output()
        .unwrap();
    let figures = fs::read_to_string(&out).unwrap_or_else(|_| panic!("{output:?}"));
    (output, serde_json::from_str(&figures).unwrap())
}

fn server<'a>(figures: &'a Value, name: &str) -> &'a Value {
    let servers = figures["servers"].as_array().unwrap();
    servers.iter().find(|server| server["name"] == name).unwrap()
}

/// Nothing that was started is left, and no folder.
fn assert_clean(folder: &Path) {
    let left = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with("ringload-"))
        .collect::<Vec<_>>();
    assert!(left.is_empty(), "{left:?}");
    let own = folder.display().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        assert!(!command.contains(&own), "still runs: {command}");
    }
}

#[test]
fn losses_and_duplicates_of_a_relay_are_found_and_a_failed_one_stops_nobody() {
    if !python_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [fair, lossy, doubling, mute, dying] = ["none", "lose", "double", "mute", "die"]
        .map(|fault| recipe(folder.path(), &format!("toy-{fault}"), fault));
    let peers = [&fair, &lossy, "direct", &doubling, &mute, &dying].map(|peer| peer as &str);
    let (output, figures) = compare(folder.path(), &peers);
    assert!(output.status.success(), "{output:?}");

    let round = |name: &str| &server(&figures, name)["closed"][0];
    for (name, lost, duplicates) in
        [("toy-none", 0, 0), ("direct", 0, 0), ("toy-lose", 20, 0), ("toy-double", 0, 20)]
    {
        let round = round(name);
        assert_eq!(round["messages"], 200, "{name}: {round}");
        assert_eq!(round["lost"], lost, "{name}: {round}");
        assert_eq!(round["duplicates"], duplicates, "{name}: {round}");
        assert!(round["relayed_rate"].as_f64().unwrap() > 0.0, "{name}: {round}");
    }
    // The sink has a message before the source knows: both rates end at about the same moment,
    // and not only when the sink next tells of it.
    let rate = |name: &str| round("direct")[name].as_f64().unwrap();
    assert!(rate("relayed_rate") > rate("accepted_rate") / 2.0, "{}", round("direct"));
    assert!(round("toy-none")["cpu_us_per_message"].as_f64().unwrap() > 0.0);
    assert!(round("toy-none")["memory_own_peak"].as_u64().unwrap() > 0);
    assert_eq!(server(&figures, "toy-none")["version"], "toy 1");
    assert_eq!(server(&figures, "toy-none")["files"][0][1], "sink 127.0.0.1");
    assert_eq!(server(&figures, "toy-none")["commands"].as_array().unwrap().len(), 3);

    for (name, words) in [("toy-mute", "none came to the sink"), ("toy-die", "the toy dies now")] {
        let failed = server(&figures, name)["failed"].as_str().unwrap();
        assert!(failed.contains(words), "{name}: {failed}");
    }
    assert_clean(folder.path());
}

/// A recipe that runs the toy IMAP server with a fault.
fn imap_recipe(folder: &Path, name: &str, fault: &str) -> String {
    let path = folder.join(format!("{name}.toml"));
    let toy = toy("toy_imap.py");
    let text = format!(
        r#"
name = "{name}"
protocol = "imap"
promise = "OK to an APPEND means that the toy counted it."
version = ["echo", "toy 2"]
start = ["python3", "{{toy}}", "{{port}}", "{fault}", "{{folder}}"]
[needs]
toy = ["{}"]
[tls.none]
"#,
        toy.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn an_imap_server_is_measured_by_the_kinds_of_command() {
    if !python_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [fair, dying] =
        ["none", "die"].map(|fault| imap_recipe(folder.path(), &format!("toy-{fault}"), fault));
    let (output, figures) = compare(folder.path(), &[&fair, &dying, "--cores=1", "--backlog=9"]);
    assert!(output.status.success(), "{output:?}");

    let toy = server(&figures, "toy-none");
    assert_eq!((&toy["protocol"], &toy["version"]), (&"imap".into(), &"toy 2".into()));
    for none in ["closed", "open", "by_cores", "by_backlog", "syscalls"] {
        assert_eq!(toy[none], Value::Array(vec![]), "{none}");
    }
    let kinds = toy["imap"].as_array().unwrap();
    let names: Vec<_> = kinds.iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    let all = ["login", "list", "select", "fetch-headers", "fetch-bodies", "store", "search"];
    assert_eq!(names, [&all[..], &["idle", "append"]].concat());
    for kind in kinds {
        let refused = kind["name"] == "search";
        assert_eq!(kind["count"].as_u64().unwrap() == 0, refused, "{kind}");
        assert_eq!(kind["errors"].as_u64().unwrap() > 0, refused, "{kind}");
        assert_eq!(kind["troubles"].to_string().contains("the toy is blind"), refused, "{kind}");
    }
    let cpu = |name| kinds.iter().find(|kind| kind["name"] == name).unwrap()["cpu_us"].as_f64();
    assert!(cpu("list").unwrap() > 0.0, "{toy}");
    assert_eq!(cpu("search"), Some(0.0));
    // The server, the filling of the mailboxes, and each kind.
    assert_eq!(toy["commands"].as_array().unwrap().len(), 2 + kinds.len());
    // 200 messages of a round at most, over 5 sessions.
    assert!(toy["commands"][1].to_string().contains(r#""--prefill","40""#), "{toy}");

    let failed = server(&figures, "toy-die")["failed"].as_str().unwrap();
    assert!(failed.contains("the toy dies now"), "{failed}");
    assert_clean(folder.path());
}

#[test]
fn ctrl_c_ends_with_the_report_so_far_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("figures.json");
    let toy = recipe(folder.path(), "toy", "none");
    let mut child = Command::new(RINGLOAD)
        .args(["compare", "direct", &toy, "--no-half-load", "--json", "--rounds=1000"])
        .args(["--messages=200", "--sessions=5", "--folder"])
        .arg(folder.path())
        .arg("--out")
        .arg(&out)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The rounds are told on stderr, one a line: after the third line there is a round.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    for _ in 0..3 {
        lines.next().unwrap().unwrap();
    }
    // Twice, as people do: what runs is cleaned up all the same.
    for signal in [Signal::INT, Signal::TERM] {
        kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
    }
    let began = Instant::now();
    for line in lines {
        line.unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert!(began.elapsed() < DEADLINE);
    let figures: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    let rounds = server(&figures, "direct")["closed"].as_array().unwrap().len();
    assert!((1..1000).contains(&rounds), "{rounds}");
    assert!(figures["notes"].to_string().contains("interrupted"), "{}", figures["notes"]);
    assert_clean(folder.path());
}

#[test]
fn without_figures_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = folder.path().join("nobody.toml");
    let text = r#"
        name = "nobody"
        protocol = "smtp"
        promise = "its 250 is never heard"
        version = ["echo", "0"]
        start = ["{nobody}"]
        [needs]
        nobody = ["/nonexistent/nobody"]
        [tls.none]
    "#;
    fs::write(&nobody, text).unwrap();
    let (output, figures) = compare(folder.path(), &[&nobody.display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let failed = server(&figures, "nobody")["failed"].as_str().unwrap();
    assert!(failed.contains("/nonexistent/nobody"), "{failed}");
}

#[test]
fn figures_that_no_file_takes_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(RINGLOAD)
        .args(["compare", "direct", "--out", "/nonexistent/figures.json", "--folder"])
        .arg(folder.path())
        .args(FEW)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("cannot write /nonexistent/figures.json"), "{errors}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("relayed/s"), "{table}");
}

#[test]
fn a_sweep_has_as_many_rounds_as_full_load_and_only_cores_that_are_there() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("python3 is not installed: the toy relay cannot run, nothing was tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let toy = recipe(folder.path(), "toy", "none");
    let arguments = [&toy, "direct", "--rounds=2", "--cores=1,100000", "--backlog=0"];
    let fewer: Vec<&str> =
        FEW.iter().copied().filter(|word| !word.starts_with("--rounds")).collect();
    let out = folder.path().join("figures.json");
    let output = Command::new(RINGLOAD)
        .args(["compare", "--folder"])
        .arg(folder.path())
        .arg("--out")
        .arg(&out)
        .args(fewer)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let figures: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    for (sweep, at) in [("by_cores", 1.0), ("by_backlog", 0.0)] {
        let points = server(&figures, "toy")[sweep].as_array().unwrap();
        assert_eq!(points.len(), 2, "{sweep}");
        assert!(points.iter().all(|point| point["at"] == at && point["round"]["messages"] == 200));
        assert!(server(&figures, "direct")[sweep].as_array().unwrap().is_empty());
    }
    assert!(figures["notes"].to_string().contains("100000 cores"), "{}", figures["notes"]);
    assert_clean(folder.path());
}
