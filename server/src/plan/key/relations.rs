//! The relations of a WHERE as choices and slices of the key, or why they are none.
//!
//! The words of the refusals are Cassandra's. What would need ALLOW FILTERING is refused by name.

use std::sync::Arc;

use sql::{Comparison, InList, Name, Relation, Subject, Term, TermKind, Test};
use types::CqlType;

use super::{Allowed, Choice, KeyPlan, Limit, Slice, TokenLimit, TokenSlice, TokenTerm, Tuple};
use crate::metadata::{Column, ColumnKind, Table};
use crate::plan::bind::{Expression, Markers};
use crate::plan::{PlanError, catalog};

/// What is known of the key while the relations are read.
struct Reader<'t, 'm> {
    table: &'t Table,
    is_read: bool,
    markers: &'m mut Markers,
    /// By column of the partition key.
    partition: Vec<Option<Choice>>,
    tokens: TokenSlice,
    /// In the order of the text.
    clustering: Vec<Restriction>,
}

/// What one relation says of some clustering columns.
struct Restriction {
    /// The first of them.
    first: usize,
    /// How many they are.
    width: usize,
    kind: Kind,
}

enum Kind {
    Choice(Allowed),
    Lower(Limit),
    Upper(Limit),
}

impl KeyPlan {
    /// The rows that the relations of a WHERE name.
    pub(in crate::plan) fn of_relations(
        table: &Arc<Table>,
        relations: &[Relation],
        is_read: bool,
        markers: &mut Markers,
    ) -> Result<Self, PlanError> {
        let partition = vec![None; table.partition_key().count()];
        let tokens = TokenSlice::default();
        let mut reader =
            Reader { table, is_read, markers, partition, tokens, clustering: Vec::new() };
        for relation in relations {
            reader.read(relation)?;
        }
        let partition = reader.finish_partition()?;
        let (clustering, slice) = clustering_of(table, reader.clustering)?;
        let tokens = reader.tokens;
        Ok(Self { table: Arc::clone(table), partition, tokens, clustering, slice })
    }
}

impl Reader<'_, '_> {
    fn read(&mut self, relation: &Relation) -> Result<(), PlanError> {
        refuse_other_tests(&relation.test)?;
        match &relation.subject {
            Subject::Column(name) => {
                let column = catalog::column(self.table, name)?.clone();
                match column.kind {
                    ColumnKind::Partition(at) => self.of_partition(at.into(), &column, relation),
                    ColumnKind::Clustering(at, _) => {
                        self.of_clustering(at.into(), &[column], relation)
                    }
                    ColumnKind::Regular => Err(not_key(&column, self.is_read)),
                }
            }
            Subject::Tuple(names) => self.of_tuple(names, relation),
            Subject::Token(names) => self.of_token(names, relation),
            Subject::Element { .. } => {
                Err(PlanError::unsupported("a relation of a collection's element"))
            }
            Subject::Field { .. } => Err(PlanError::unsupported("a relation of a field")),
        }
    }

    fn of_partition(
        &mut self,
        at: usize,
        column: &Column,
        relation: &Relation,
    ) -> Result<(), PlanError> {
        let allowed = match &relation.test {
            Test::Compare(Comparison::NotEqual, _) => return Err(not_equal(&column.name)),
            Test::Compare(Comparison::Equal, term) => {
                Allowed::Equal(Tuple::one(self.value(column, term)?))
            }
            Test::Compare(..) if self.is_read => {
                return Err(needs_filtering(&format!("a range of partition key {}", column.name)));
            }
            Test::Compare(..) => {
                return Err(PlanError::PartitionKeyRange { column: column.name.clone() });
            }
            Test::In(list) => self.in_list(std::slice::from_ref(column), list)?,
            other => return refuse_other_tests(other),
        };
        if self.partition[at].is_some() {
            return Err(restricted_twice(column));
        }
        self.partition[at] = Some(Choice { width: 1, allowed });
        Ok(())
    }

    fn of_clustering(
        &mut self,
        first: usize,
        columns: &[Column],
        relation: &Relation,
    ) -> Result<(), PlanError> {
        let kind = match &relation.test {
            Test::Compare(Comparison::NotEqual, _) => return Err(not_equal(&names_of(columns))),
            Test::Compare(comparison, term) => {
                let (width, values) = (columns.len(), self.values(columns, term)?);
                match comparison {
                    Comparison::Greater | Comparison::GreaterOrEqual => {
                        let is_inclusive = *comparison == Comparison::GreaterOrEqual;
                        Kind::Lower(Limit { width, values, is_inclusive })
                    }
                    Comparison::Less | Comparison::LessOrEqual => {
                        let is_inclusive = *comparison == Comparison::LessOrEqual;
                        Kind::Upper(Limit { width, values, is_inclusive })
                    }
                    Comparison::Equal | Comparison::NotEqual => {
                        Kind::Choice(Allowed::Equal(values))
                    }
                }
            }
            Test::In(list) => Kind::Choice(self.in_list(columns, list)?),
            other => return refuse_other_tests(other),
        };
        let restriction = Restriction { first, width: columns.len(), kind };
        if self.clustering.iter().any(|other| restriction.contradicts(other)) {
            return Err(restricted_twice(&columns[0]));
        }
        self.clustering.push(restriction);
        Ok(())
    }

    /// `(a, b) …`: clustering columns that follow one another.
    fn of_tuple(&mut self, names: &[Name], relation: &Relation) -> Result<(), PlanError> {
        let mut columns = Vec::with_capacity(names.len());
        let mut first = None;
        for name in names {
            let column = catalog::column(self.table, name)?;
            let ColumnKind::Clustering(at, _) = column.kind else {
                return Err(PlanError::TupleOfOther { column: column.name.clone() });
            };
            let first = *first.get_or_insert(usize::from(at));
            if usize::from(at) != first + columns.len() {
                let columns = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>();
                return Err(PlanError::TupleOrder { columns: columns.join(", ") });
            }
            columns.push(column.clone());
        }
        self.of_clustering(first.unwrap_or_default(), &columns, relation)
    }

    /// `token(a, b) …`: the whole partition key in its order.
    fn of_token(&mut self, names: &[Name], relation: &Relation) -> Result<(), PlanError> {
        if !self.is_read {
            return Err(PlanError::TokenInWrite);
        }
        let key: Vec<_> = self.table.partition_key().map(|column| column.name.as_str()).collect();
        if !names.iter().map(|name| name.text.as_str()).eq(key.iter().copied()) {
            return Err(PlanError::TokenOrder { columns: key.join(", ") });
        }
        let Test::Compare(comparison, term) = &relation.test else {
            return Err(PlanError::unsupported("a relation of token() other than a comparison"));
        };
        let limit = |value: &TokenTerm, is_inclusive| {
            Some(TokenLimit { value: value.clone(), is_inclusive })
        };
        let value = self.token(term)?;
        let mut asked = TokenSlice::default();
        match comparison {
            Comparison::NotEqual => return Err(not_equal("token()")),
            Comparison::Equal => {
                asked = TokenSlice { lower: limit(&value, true), upper: limit(&value, true) };
            }
            Comparison::Greater => asked.lower = limit(&value, false),
            Comparison::GreaterOrEqual => asked.lower = limit(&value, true),
            Comparison::Less => asked.upper = limit(&value, false),
            Comparison::LessOrEqual => asked.upper = limit(&value, true),
        }
        for (place, asked) in
            [(&mut self.tokens.lower, asked.lower), (&mut self.tokens.upper, asked.upper)]
        {
            if place.is_some() && asked.is_some() {
                return Err(PlanError::RestrictedTwice { column: "token()".to_owned() });
            }
            *place = asked.or(place.take());
        }
        Ok(())
    }

    /// What a token is compared with: a number, or `token(…)` of values.
    fn token(&mut self, term: &Term) -> Result<TokenTerm, PlanError> {
        let TermKind::Call { function, arguments } = &term.kind else {
            let number = self.markers.expression(term, "partition key token", &CqlType::Bigint)?;
            return Ok(TokenTerm::Number(number));
        };
        let is_system = function.keyspace.as_ref().is_none_or(|name| name.text == "system");
        if !is_system || function.name.text != "token" {
            return Err(PlanError::unsupported(format!("function {function}() as a token")));
        }
        let key: Vec<Column> = self.table.partition_key().cloned().collect();
        if key.len() != arguments.len() {
            let takes = format!("a value for each column of the partition key: {}", names_of(&key));
            return Err(PlanError::Arguments { function: "token".to_owned(), takes });
        }
        let values = key.iter().zip(arguments).map(|(column, term)| self.value(column, term));
        Ok(TokenTerm::Of(values.collect::<Result<_, _>>()?))
    }

    fn value(&mut self, column: &Column, term: &Term) -> Result<Expression, PlanError> {
        self.markers.expression(term, &column.name, &column.ty)
    }

    /// A value for each of some columns: of one the term itself, of several the parts of a tuple.
    fn values(&mut self, columns: &[Column], term: &Term) -> Result<Tuple, PlanError> {
        let expected = columns.len();
        let terms = match &term.kind {
            TermKind::Tuple(terms) if terms.len() == expected => terms.as_slice(),
            _ if expected == 1 => std::slice::from_ref(term),
            TermKind::Tuple(terms) => {
                return Err(PlanError::TupleLength { expected, given: terms.len() });
            }
            TermKind::Marker(marker) => {
                let name = format!("({})", names_of(columns));
                return Ok(Tuple::Whole(self.markers.marker(marker, &name, &tuple_of(columns))));
            }
            _ => return Err(PlanError::TupleLength { expected, given: 1 }),
        };
        let each = columns.iter().zip(terms).map(|(column, term)| self.value(column, term));
        Ok(Tuple::Parts(each.collect::<Result<_, _>>()?))
    }

    fn in_list(&mut self, columns: &[Column], list: &InList) -> Result<Allowed, PlanError> {
        match list {
            InList::Terms(terms) => {
                let each = terms.iter().map(|term| self.values(columns, term));
                Ok(Allowed::In(each.collect::<Result<_, _>>()?))
            }
            InList::Marker(marker) => {
                let of = match columns {
                    [column] => column.ty.clone(),
                    columns => tuple_of(columns),
                };
                let name = format!("in({})", names_of(columns));
                let kind = CqlType::List(Box::new(of));
                Ok(Allowed::List(self.markers.marker(marker, &name, &kind)))
            }
        }
    }

    /// The choices of the partition key; none for a scan.
    fn finish_partition(&mut self) -> Result<Option<Vec<Choice>>, PlanError> {
        let lacking: Vec<_> = self
            .table
            .partition_key()
            .zip(&self.partition)
            .filter(|(_, choice)| choice.is_none())
            .map(|(column, _)| column.name.as_str())
            .collect();
        if lacking.is_empty() {
            return Ok(Some(std::mem::take(&mut self.partition).into_iter().flatten().collect()));
        }
        let lacking = lacking.join(", ");
        if !self.is_read {
            return Err(super::partition_key_missing(lacking));
        }
        if self.partition.iter().any(Option::is_some) {
            let what = format!("a SELECT by a part of the partition key, without {lacking}");
            return Err(needs_filtering(&what));
        }
        match self.clustering.first() {
            Some(restriction) => {
                let column = self.table.clustering_key().nth(restriction.first);
                let name = column.map_or("", |column| &column.name);
                Err(needs_filtering(&format!("a relation of {name} without the partition key")))
            }
            None => Ok(None),
        }
    }
}

impl Restriction {
    /// Whether two relations on the same columns do not go together: all but the two ends of one
    /// slice.
    fn contradicts(&self, other: &Self) -> bool {
        let is_slice = matches!(
            (&self.kind, &other.kind),
            (Kind::Lower(_), Kind::Upper(_)) | (Kind::Upper(_), Kind::Lower(_))
        ) && self.first == other.first;
        let overlaps =
            self.first < other.first + other.width && other.first < self.first + self.width;
        overlaps && !is_slice
    }
}

/// Choices, then one slice, then nothing.
fn clustering_of(
    table: &Table,
    mut restrictions: Vec<Restriction>,
) -> Result<(Vec<Choice>, Slice), PlanError> {
    restrictions.sort_by_key(|restriction| restriction.first);
    let name = |at: usize| {
        table.clustering_key().nth(at).map_or_else(String::new, |column| column.name.clone())
    };
    let mut choices = Vec::new();
    let mut slice = Slice::default();
    let mut next = 0;
    for Restriction { first, width, kind } in restrictions {
        if first != next && !slice.is_free() {
            return Err(PlanError::ClusteringBehindSlice {
                column: name(first),
                preceding: name(next),
            });
        }
        if first != next {
            return Err(PlanError::ClusteringGap { column: name(first), preceding: name(next) });
        }
        match kind {
            Kind::Choice(allowed) => {
                choices.push(Choice { width, allowed });
                next += width;
            }
            Kind::Lower(limit) => slice.lower = Some(limit),
            Kind::Upper(limit) => slice.upper = Some(limit),
        }
    }
    Ok((choices, slice))
}

fn not_key(column: &Column, is_read: bool) -> PlanError {
    let column = column.name.clone();
    if is_read {
        return PlanError::unsupported(format!(
            "a relation of {column}, which is outside the primary key and needs ALLOW FILTERING,"
        ));
    }
    PlanError::NotKey { column }
}

fn needs_filtering(what: &str) -> PlanError {
    PlanError::unsupported(format!("{what}, which needs ALLOW FILTERING,"))
}

/// Refuses all but comparisons and IN.
fn refuse_other_tests(test: &Test) -> Result<(), PlanError> {
    Err(PlanError::unsupported(match test {
        Test::Contains(_) | Test::ContainsKey(_) => "CONTAINS",
        Test::Like(_) => "LIKE",
        Test::IsNotNull => "IS NOT NULL",
        Test::Compare(..) | Test::In(_) => return Ok(()),
    }))
}

fn not_equal(column: &str) -> PlanError {
    PlanError::NotEqual { column: column.to_owned() }
}

fn restricted_twice(column: &Column) -> PlanError {
    PlanError::RestrictedTwice { column: column.name.clone() }
}

fn tuple_of(columns: &[Column]) -> CqlType {
    CqlType::Tuple(columns.iter().map(|column| column.ty.clone()).collect())
}

fn names_of(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
