//! The bind markers of a statement.
//!
//! Callers: PREPARE, which tells the client how many values a statement takes and by what names.

use crate::{
    Assignment, Attribute, Change, Condition, InList, Marker, OrderBy, Relation, Select, Selection,
    Selector, Statement, Subject, Target, Term, TermKind, Test, Using,
};

impl Statement {
    /// The statement's bind markers in the order of its text.
    pub fn markers(&self) -> Vec<&Marker> {
        let mut found = Found(Vec::new());
        match self {
            Self::Select(select) => found.in_select(select),
            Self::Insert(insert) => {
                found.in_terms(&insert.values);
                found.in_using(&insert.using);
                found.in_selections(&insert.returning);
            }
            Self::Update(update) => {
                found.in_using(&update.using);
                found.in_assignments(&update.assignments);
                found.in_relations(&update.relations);
                found.in_condition(update.condition.as_ref());
                found.in_selections(&update.returning);
            }
            Self::Delete(delete) => {
                for target in &delete.targets {
                    found.in_target(target);
                }
                found.in_using(&delete.using);
                found.in_relations(&delete.relations);
                found.in_condition(delete.condition.as_ref());
                found.in_selections(&delete.returning);
            }
            Self::CreateKeyspace(_)
            | Self::AlterKeyspace(_)
            | Self::DropKeyspace(_)
            | Self::CreateTable(_)
            | Self::DropTable(_)
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
