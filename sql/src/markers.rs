//! The bind markers of a statement.
//!
//! Callers: PREPARE, which tells the client how many values a statement takes and by what names.

use crate::{
    Alteration, Assignment, Attribute, Batch, BatchStatement, Change, Condition, Delete, InList,
    Insert, Marker, OrderBy, Relation, Select, Selection, Selector, Statement, Subject, Target,
    Term, TermKind, Test, Update, Using,
};

impl Statement {
    /// The statement's bind markers in the order of its text.
    pub fn markers(&self) -> Vec<&Marker> {
        let mut found = Found(Vec::new());
        match self {
            Self::Select(select) => found.in_select(select),
            Self::Insert(insert) => found.in_insert(insert),
            Self::Update(update) => found.in_update(update),
            Self::Delete(delete) => found.in_delete(delete),
            Self::Batch(batch) => found.in_batch(batch),
            Self::AlterTable(alter) => {
                if let Alteration::Drop { timestamp, .. } = &alter.alteration {
                    found.in_terms(timestamp);
                }
            }
            Self::CreateKeyspace(_)
            | Self::AlterKeyspace(_)
            | Self::DropKeyspace(_)
            | Self::CreateTable(_)
            | Self::DropTable(_)
            | Self::Truncate(_)
            | Self::Use(_)
            | Self::Unsupported { .. } => {}
        }
        found.0
    }
}

/// The markers found so far.
struct Found<'a>(Vec<&'a Marker>);

impl<'a> Found<'a> {
    fn in_select(&mut self, select: &'a Select) {
        self.in_selections(&select.selections);
        if !select.is_using_last {
            self.in_using(&select.using);
        }
        self.in_relations(&select.relations);
        for selector in &select.group_by {
            self.in_selector(selector);
        }
        for order in &select.order_by {
            if let OrderBy::Nearest { to, .. } = order {
                self.in_term(to);
            }
        }
        self.in_terms(&select.per_partition_limit);
        self.in_terms(&select.limit);
        if select.is_using_last {
            self.in_using(&select.using);
        }
    }

    fn in_insert(&mut self, insert: &'a Insert) {
        self.in_terms(&insert.values);
        self.in_using(&insert.using);
        self.in_selections(&insert.returning);
    }

    fn in_update(&mut self, update: &'a Update) {
        self.in_using(&update.using);
        self.in_assignments(&update.assignments);
        self.in_relations(&update.relations);
        self.in_condition(update.condition.as_ref());
        self.in_selections(&update.returning);
    }

    fn in_delete(&mut self, delete: &'a Delete) {
        for target in &delete.targets {
            self.in_target(target);
        }
        self.in_using(&delete.using);
        self.in_relations(&delete.relations);
        self.in_condition(delete.condition.as_ref());
        self.in_selections(&delete.returning);
    }

    fn in_batch(&mut self, batch: &'a Batch) {
        self.in_using(&batch.using);
        for statement in &batch.statements {
            match statement {
                BatchStatement::Insert(insert) => self.in_insert(insert),
                BatchStatement::Update(update) => self.in_update(update),
                BatchStatement::Delete(delete) => self.in_delete(delete),
            }
        }
    }

    fn in_using(&mut self, using: &'a Using) {
        for attribute in &using.attributes {
            match attribute {
                Attribute::Ttl(term) | Attribute::Timestamp(term) | Attribute::Context(term) => {
                    self.in_term(term);
                }
                Attribute::Consistency(..) => {}
            }
        }
    }

    fn in_selections(&mut self, selections: &'a [Selection]) {
        for selection in selections {
            self.in_selector(&selection.selector);
        }
    }

    fn in_selector(&mut self, selector: &'a Selector) {
        match selector {
            Selector::All | Selector::Column(_) | Selector::CountRows => {}
            Selector::Call { arguments, .. } => {
                for argument in arguments {
                    self.in_selector(argument);
                }
            }
            Selector::Cast { selector: of, .. } | Selector::Field { of, .. } => {
                self.in_selector(of);
            }
            Selector::Element { of, key } => {
                self.in_selector(of);
                self.in_term(key);
            }
            Selector::Term(term) => self.in_term(term),
        }
    }

    fn in_assignments(&mut self, assignments: &'a [Assignment]) {
        for Assignment { target, change } in assignments {
            self.in_target(target);
            let (Change::Set(term)
            | Change::Add(term)
            | Change::Subtract(term)
            | Change::Prepend(term)) = change;
            self.in_term(term);
        }
    }

    fn in_target(&mut self, target: &'a Target) {
        if let Target::Element { key, .. } = target {
            self.in_term(key);
        }
    }

    fn in_condition(&mut self, condition: Option<&'a Condition>) {
        if let Some(Condition::All(relations)) = condition {
            self.in_relations(relations);
        }
    }

    fn in_relations(&mut self, relations: &'a [Relation]) {
        for relation in relations {
            if let Subject::Element { key, .. } = &relation.subject {
                self.in_term(key);
            }
            match &relation.test {
                Test::Compare(_, term)
                | Test::Contains(term)
                | Test::ContainsKey(term)
                | Test::Like(term) => self.in_term(term),
                Test::In(InList::Terms(terms)) => self.in_terms(terms),
                Test::In(InList::Marker(marker)) => self.0.push(marker),
                Test::IsNotNull => {}
            }
        }
    }

    fn in_terms(&mut self, terms: impl IntoIterator<Item = &'a Term>) {
        for term in terms {
            self.in_term(term);
        }
    }

    fn in_term(&mut self, term: &'a Term) {
        match &term.kind {
            TermKind::Literal(_) => {}
            TermKind::Marker(marker) => self.0.push(marker),
            TermKind::List(terms)
            | TermKind::Set(terms)
            | TermKind::Tuple(terms)
            | TermKind::Call { arguments: terms, .. } => self.in_terms(terms),
            TermKind::Map(pairs) => {
                for (key, value) in pairs {
                    self.in_terms([key, value]);
                }
            }
            TermKind::Fields(fields) => self.in_terms(fields.iter().map(|(_, value)| value)),
            TermKind::Hinted { term, .. } => self.in_term(term),
        }
    }
}
