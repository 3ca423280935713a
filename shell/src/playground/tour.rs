//! What a person is greeted with: a conflict in five lines, and its end.

/// The five lines; they are carried out as they stand.
fn lines(nodes: u8) -> [String; 5] {
    let copies = nodes.min(3);
    [
        format!(
            "CREATE KEYSPACE tour WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': {copies}}};"
        ),
        "CREATE TABLE tour.cart (id int PRIMARY KEY, items set<text>) \
         WITH conflict = 'siblings';"
            .to_owned(),
        "CAUSAL OFF; INSERT INTO tour.cart (id, items) VALUES (1, {'milk'}); \
         INSERT INTO tour.cart (id, items) VALUES (1, {'bread'}); CAUSAL ON;"
            .to_owned(),
        "SELECT * FROM tour.cart WHERE id = 1;".to_owned(),
        "INSERT INTO tour.cart (id, items) VALUES (1, {'bread', 'milk'});".to_owned(),
    ]
}

/// What is said before the first prompt.
pub(super) fn banner(nodes: u8) -> String {
    format!(
        "\n{nodes} real node{plural}. Two writers who did not see each other, and how to resolve \
         it — copy these lines:\n\n  {tour}\n\n\
         The fourth shows both carts, the fifth says what became of them. Leaving the shell stops \
         the nodes; their data stays.\n",
        plural = if nodes == 1 { "" } else { "s" },
        tour = lines(nodes).join("\n  "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::input::Pending;

    #[test]
    fn the_tour_is_made_of_statements_and_commands() {
        let mut pending = Pending::default();
        let items: Vec<_> = lines(3).iter().flat_map(|line| pending.push(line).unwrap()).collect();
        assert_eq!(items.len(), 8);
        assert!(pending.is_empty());
        for item in items {
            match Command::parse(&item) {
                Some(command) => assert!(command.is_ok(), "{item}"),
                None => assert!(sql::parse(&item).is_ok(), "{item}"),
            }
        }
    }

    #[test]
    fn a_small_playground_keeps_as_many_copies_as_it_has_nodes() {
        assert!(lines(2)[0].contains("'replication_factor': 2}"));
        assert!(lines(9)[0].contains("'replication_factor': 3}"));
    }
}
