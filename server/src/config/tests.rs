//! The configuration's laws.

use super::*;

fn flags(pairs: &[(&str, &str)]) -> Layers {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Layers { flags: pairs.iter().map(own).collect(), ..Layers::default() }
}

#[test]
fn shipped_file_states_the_defaults() {
    let text = include_str!("../../../conf/starling.toml");
    let shipped: Config = toml::from_str(text).unwrap();
    assert_eq!(shipped, Config::default());
    for (section, keys) in Value::try_from(Config::default()).unwrap().as_table().unwrap() {
        let Some(keys) = keys.as_table() else {
            assert!(text.contains(&format!("{section} =")), "{section} is not shown");
            continue;
        };
        for key in keys.keys() {
            let shown = text.split(&format!("[{section}]")).nth(1).expect("section is shown");
            let shown = shown.split("\n[").next().unwrap();
            assert!(shown.contains(&format!("{key} =")), "{section}.{key} is not shown");
        }
    }
}

use toml::Value;

#[test]
fn later_layers_win() {
    let file = Some(("f.toml".to_owned(), "[cql]\nport = 1\n[admin]\nport = 2".to_owned()));
    let environment = vec![
        ("STARLING_CQL__PORT".to_owned(), "3".to_owned()),
        ("STARLING_NODE__RACK".to_owned(), "7".to_owned()),
        ("HOME".to_owned(), "/root".to_owned()),
    ];
    let flags = vec![("cql.port".to_owned(), "4".to_owned())];
    let config = Config::load(&Layers { file, environment, flags }).unwrap();
    assert_eq!((config.cql.port, config.admin.port), (4, 2));
    assert_eq!(config.node.rack, "7");
}

#[test]
fn an_unknown_key_is_refused_where_it_stands() {
    let file = Some(("f.toml".to_owned(), "[cql]\nport = 1\nprot = 2".to_owned()));
    let error = Config::load(&Layers { file, ..Layers::default() }).unwrap_err().to_string();
    assert!(error.contains("line 3, column 1") && error.contains("prot"), "{error}");
    let error = Config::load(&flags(&[("cql.prot", "2")])).unwrap_err().to_string();
    assert!(error.contains("--set cql.prot=2") && error.contains("prot"), "{error}");
}

#[test]
fn units_are_read_and_shown() {
    let config =
        Config::load(&flags(&[("timeouts.write", "150ms"), ("cql.frame_bytes_max", "1MiB")]))
            .unwrap();
    assert_eq!(config.timeouts.write, Duration::from_millis(150));
    assert_eq!(config.cql.frame_bytes_max, ByteSize::mib(1));
    assert_eq!("4096B".parse::<ByteSize>().unwrap().to_string(), "4KiB");
    for wrong in ["", "5", "MiB", "1.5MiB", "99999999999GiB", "1 mb"] {
        assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
    }
}

#[test]
fn seeds_are_given_as_a_list() {
    let config =
        Config::load(&flags(&[("cluster.seeds", "127.0.0.1:7000, b:7000, c:7000")])).unwrap();
    assert_eq!(config.cluster.seeds, ["127.0.0.1:7000", "b:7000", "c:7000"]);
    assert_eq!(config.cluster.nodes_needed(), 3);
}

#[test]
fn what_cannot_work_is_refused_by_key() {
    let cases = [
        (vec![("cluster.seeds", "a:1,b:1")], "cluster.seeds"),
        (vec![("cluster.partitions", "0")], "cluster.partitions"),
        (vec![("listen.address", "0.0.0.0")], "listen.advertise"),
        (vec![("listen.address", "10.0.0.1")], "--insecure"),
        (vec![("siblings.warn", "101")], "siblings.warn"),
        (vec![("durability", "periodic")], "durability"),
    ];
    for (settings, named) in cases {
        let error = Config::load(&flags(&settings)).unwrap_err().to_string();
        assert!(error.contains(named), "{settings:?}: {error}");
    }
}
