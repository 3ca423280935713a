//! The person's end: the shell and its commands as a person calls them, and what README promises.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use starling_tests::wait::Outcome;
use starling_tests::{Cluster, Reply, place, wait};

/// No command of these tests takes longer.
const LIMIT: Duration = Duration::from_mins(1);

fn starling(arguments: &[&str]) -> Result<Outcome> {
    let mut command = Command::new(place::binary()?);
    command.args(arguments).env("HOME", place::shared()?); // Not the person's own history.
    wait::run(&mut command, LIMIT)
}

fn succeed(arguments: &[&str]) -> Result<String> {
    let outcome = starling(arguments)?;
    let (status, stderr) = (outcome.status, &outcome.stderr);
    ensure!(status.success(), "{arguments:?} ended with {status}: {stderr}");
    Ok(outcome.stdout)
}

/// The blocks of one language in README, in order.
fn readme_blocks(language: &str) -> Result<Vec<String>> {
    let readme = fs::read_to_string(place::repository().join("README.md"))?;
    let blocks = readme.split("\n```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    Ok(of_language.map(str::to_owned).collect())
}

/// The rows among the lines of `--format json`, by one of their columns.
fn rows(stdout: &str, column: &str) -> Vec<Value> {
    let values = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter_map(|row| row.get(column).cloned()).collect()
}

#[test]
fn the_tour_of_the_readme_makes_a_conflict_and_resolves_it() -> Result<()> {
    let cluster = Cluster::builder("tour").start()?;
    let host = cluster.addresses()[0].to_string();
    let directory = place::scratch("tour")?;
    let script = directory.path().join("tour.cql");
    fs::write(&script, readme_blocks("sql")?.first().context("README has a tour")?)?;
    let script = script.to_str().context("a plain name")?;
    let stdout = succeed(&["shell", &host, "-f", script, "--format", "json"])?;

    let items = rows(&stdout, "items");
    ensure!(items.len() == 3, "two siblings, then one row: {stdout}");
    let mut siblings = items[..2].to_vec();
    siblings.sort_by_key(Value::to_string);
    assert_eq!(siblings, [serde_json::json!(["milk"]), serde_json::json!(["tea"])]);
    assert_eq!(items[2], serde_json::json!(["milk", "tea"]));
    cluster.finish()
}

#[test]
fn statements_that_the_readme_shows_to_drivers_are_understood() -> Result<()> {
    let cluster = Cluster::builder("readme").nodes(1).seeds(0).start()?;
    cluster.define(&[
        "CREATE KEYSPACE shop WITH replication = \
         {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE shop.carts (who text PRIMARY KEY, items set<text>)",
    ])?;
    let mut client = cluster.nodes()[0].client()?;
    let blocks = readme_blocks("sql")?;
    let statements = blocks.get(1).context("README has statements for drivers")?;
    for line in statements.lines() {
        let statement = line.split("--").next().unwrap_or_default().trim();
        let reply = client.prepare(statement)?;
        ensure!(matches!(reply, Reply::Prepared(_)), "{statement}: {reply:?}");
    }
    cluster.finish()
}

#[test]
fn a_command_ends_with_the_code_of_its_outcome() -> Result<()> {
    let cluster = Cluster::builder("codes").nodes(1).seeds(0).start()?;
    let host = cluster.addresses()[0].to_string();
    let nobody = cluster.addresses()[0].to_string().replace(".1", ".200");
    let code = |arguments: &[&str]| Ok::<_, anyhow::Error>(starling(arguments)?.status.code());
    let select = "SELECT key FROM system.local";
    assert_eq!(code(&["shell", &host, "-e", select])?, Some(0));
    assert_eq!(code(&["shell", &host, "-e", "SELECT nosuch FROM system.local"])?, Some(1));
    assert_eq!(code(&["shell", &host, "--nosuch"])?, Some(2));
    assert_eq!(code(&["shell", &nobody, "-e", select])?, Some(3));
    assert_eq!(code(&["status", "--host", &host])?, Some(0));
    assert_eq!(code(&["status", "--host", &nobody])?, Some(3));
    cluster.finish()
}

#[test]
fn results_are_printed_for_people_and_for_programs() -> Result<()> {
    let cluster = Cluster::builder("formats").nodes(1).seeds(0).start()?;
    let host = cluster.addresses()[0].to_string();
    let select = "SELECT key, rpc_port FROM system.local";
    let print = |format| succeed(&["shell", &host, "--format", format, "-e", select]);
    let json: Value = serde_json::from_str(print("json")?.trim())?;
    assert_eq!(json, serde_json::json!({"key": "local", "rpc_port": 9042}));
    assert_eq!(print("csv")?.lines().collect::<Vec<_>>(), ["key,rpc_port", "local,9042"]);
    let table = print("table")?;
    ensure!(table.contains("rpc_port") && table.contains("local"), "{table}");
    cluster.finish()
}

#[test]
fn status_and_ring_are_there_for_people_and_for_programs() -> Result<()> {
    let cluster = Cluster::builder("status").start()?;
    let host = cluster.addresses()[0].to_string();
    let status: Value = serde_json::from_str(&succeed(&["status", "--json", "--host", &host])?)?;
    assert_eq!(status["members"].as_array().map(Vec::len), Some(3));
    let ring: Value = serde_json::from_str(&succeed(&["ring", "--json", "--host", &host])?)?;
    assert_eq!(ring["partitions"].as_array().map(Vec::len), Some(256));
    let text = succeed(&["status", "--host", &host])?;
    for node in cluster.addresses() {
        ensure!(text.contains(&node.to_string()), "{node} is not in {text}");
    }
    cluster.finish()
}

/// The one test on 127.0.0.1 to 127.0.0.3, which belong to the playground.
#[test]
fn a_playground_serves_statements_and_leaves_nothing_running() -> Result<()> {
    let _lock = place::lock("playground")?;
    let directory = place::scratch("playground")?;
    let path = directory.path().to_str().context("a plain name")?;
    let keyspace = "CREATE KEYSPACE k WITH replication = \
                    {'class': 'SimpleStrategy', 'replication_factor': 3}";
    let table = "CREATE TABLE k.t (k int PRIMARY KEY, v text)";
    let insert = "INSERT INTO k.t (k, v) VALUES (1, 'x') USING CONSISTENCY ALL";
    let select = "SELECT v FROM k.t WHERE k = 1";
    let arguments = ["playground", "--dir", path, "--format", "json"];
    let first = [&arguments[..], &["-e", keyspace, "-e", table, "-e", insert, "-e", select]];
    assert_eq!(rows(&succeed(&first.concat())?, "v"), ["x"]);
    // The same ports and directories are free again, and what was written is there.
    let second = [&arguments[..], &["-e", select]].concat();
    assert_eq!(rows(&succeed(&second)?, "v"), ["x"]);
    Ok(())
}
