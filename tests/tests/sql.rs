//! The language, as scripts of statements and what they answer: `sql/*.cql`, `DIFFERENCES.md`.
//!
//! ```text
//! SELECT k, v FROM t WHERE k = 1;
//! --> 1 | a                            a row, its columns in order
//! --@ c                                from here on $c is the first column of the first row
//! INSERT INTO t (k) VALUES ('x');
//! --! 2200 Invalid value for k         a refusal: its code and a part of its text
//! ```
//!
//! A statement ends at a semicolon that ends a line; one that is followed by neither mark must be
//! done and its rows are not looked at. Each script has a keyspace of its own on one shared node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use starling_tests::cql::blob_literal;
use starling_tests::{Client, Cluster, Reply};

/// One statement and what a script says of its answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    line: usize,
    statement: String,
    rows: Option<Vec<String>>,
    refusal: Option<(i32, String)>,
    remember: Option<String>,
}

fn read(script: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut open = String::new();
    for (at, line) in script.lines().enumerate() {
        if let Some(mark) = line.strip_prefix("--") {
            ensure!(open.is_empty(), "line {}: a mark within a statement", at + 1);
            read_mark(mark, steps.last_mut()).with_context(|| format!("line {}", at + 1))?;
        } else if !line.trim().is_empty() {
            open.push_str(line);
            open.push('\n');
        }
        if open.trim_end().ends_with(';') {
            let statement = std::mem::take(&mut open).trim_end().to_owned();
            steps.push(Step { line: at + 1, statement, ..Step::default() });
        }
    }
    ensure!(open.is_empty(), "the last statement has no end");
    Ok(steps)
}

/// What stands behind two dashes: a mark of the statement before it, or a remark.
fn read_mark(mark: &str, step: Option<&mut Step>) -> Result<()> {
    let (kind, text) = mark.split_at_checked(1).unwrap_or_default();
    let text = text.strip_prefix(' ').unwrap_or(text);
    let before = || step.context("no statement stands before this mark");
    match kind {
        ">" if text.is_empty() => drop(before()?.rows.get_or_insert_default()),
        ">" => before()?.rows.get_or_insert_default().push(text.to_owned()),
        "!" => {
            let (code, phrase) = text.split_once(' ').context("a code and a text")?;
            before()?.refusal = Some((i32::from_str_radix(code, 16)?, phrase.to_owned()));
        }
        "@" => before()?.remember = Some(text.to_owned()),
        _ => {}
    }
    Ok(())
}

/// Carries out one step and compares.
fn check(client: &mut Client, step: &Step, names: &mut BTreeMap<String, String>) -> Result<()> {
    let statement = names.iter().fold(step.statement.clone(), |text, (name, value)| {
        text.replace(&format!("${name}"), value)
    });
    match (client.query(&statement)?, &step.refusal) {
        (Reply::Refused(refusal), Some((code, text))) => {
            let is_it = refusal.code == *code && refusal.message.contains(text);
            ensure!(is_it, "wanted {code:04x} {text}, got {refusal:?}");
        }
        (Reply::Rows(rows), None) => {
            if let Some(wanted) = &step.rows {
                let shown = rows.shown()?;
                ensure!(shown == *wanted, "wanted {wanted:?}, got {shown:?}");
            }
            if let Some(name) = &step.remember {
                let first = rows.cells.first().and_then(|row| row.first()).cloned().flatten();
                names.insert(name.clone(), blob_literal(&first.context("nothing to remember")?));
            }
        }
        (reply, None) if step.rows.is_none() && !matches!(reply, Reply::Refused(_)) => {}
        (reply, _) => bail!("wanted {step:?}, got {reply:?}"),
    }
    Ok(())
}

fn scripts() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut scripts =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    scripts.sort();
    scripts.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../DIFFERENCES.md"));
    Ok(scripts)
}

/// The script in a file; of a page, its blocks of statements, each on its own lines.
fn script_in(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)?;
    if path.extension().is_none_or(|extension| extension != "md") {
        return Ok(text);
    }
    let mut is_inside = false;
    let lines = text.lines().map(|line| {
        let is_fence = line.starts_with("```");
        is_inside = line == "```sql" || (is_inside && !is_fence);
        if is_inside && !is_fence { line } else { "" }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn scripts_answer_what_they_say() -> Result<()> {
    let cluster = Cluster::builder("sql").nodes(1).seeds(0).start()?;
    let mut wrong = Vec::new();
    for script in scripts()? {
        let name = script.file_stem().and_then(|stem| stem.to_str()).context("a plain name")?;
        let name = &name.to_lowercase();
        cluster.define(&[&format!(
            "CREATE KEYSPACE {name} WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )])?;
        let mut client = cluster.nodes()[0].client()?;
        client.run(&format!("USE {name}"))?;
        let mut names = BTreeMap::new();
        for step in read(&script_in(&script)?)? {
            if let Err(error) = check(&mut client, &step, &mut names) {
                wrong.push(format!("{name}:{}: {}\n  {error:#}", step.line, step.statement));
            }
        }
    }
    ensure!(wrong.is_empty(), "{} steps are wrong:\n{}", wrong.len(), wrong.join("\n"));
    cluster.finish()
}

#[test]
fn a_script_is_read_as_statements_and_marks() {
    let script = "-- A remark.\nSELECT a\nFROM t; \n--> 1 | x\n--> 2 | y\n--@ c\n\nDROP x;\n--! 2200 no x\nUSE y;\n";
    let steps = read(script).unwrap();
    let rows = Some(vec!["1 | x".to_owned(), "2 | y".to_owned()]);
    assert_eq!(steps[0].statement, "SELECT a\nFROM t;");
    assert_eq!((&steps[0].rows, steps[0].remember.as_deref()), (&rows, Some("c")));
    assert_eq!(steps[1].refusal, Some((0x2200, "no x".to_owned())));
    assert_eq!((steps.len(), steps[2].line), (3, 10));
    assert!(read("SELECT").is_err() && read("--> 1\n").is_err());
}
