//! Terms of a statement and the values of a request, checked against the types that they meet.
//!
//! A term becomes an [`Expression`] once, when its statement is prepared: constants are encoded
//! then, and each bind marker learns its name and type. With the values of a request it becomes a
//! [`Bound`] value in the canonical form of its type.
//!
//! Callers: everything in `plan` that has a term. Pure.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use sql::{Literal, Marker, Qualified, Term, TermKind, TypeName};
use types::CqlType;
use types::collection::{elements, normalise};

use super::PlanError;
use super::functions::{Calls, Function};

/// The bind markers of a statement, as far as they were met.
#[derive(Debug)]
pub(super) struct Markers {
    /// By index in the text.
    specs: Vec<Option<(String, CqlType)>>,
    /// How many calls of functions were met.
    calls: u16,
}

/// A term with its type and the name that errors call it by.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    name: String,
    kind: CqlType,
    slot: Slot,
}

/// Where a value comes from.
#[derive(Debug, Clone)]
enum Slot {
    /// The text: encoded already; none is null.
    Constant(Option<Vec<u8>>),
    /// The request: the value with this index.
    Marker(u16),
    /// Both: a list or a set, some of whose elements come with the request.
    Elements(Vec<Expression>),
    /// The same of a map: keys and values.
    Entries(Vec<(Expression, Expression)>),
    /// The same of a tuple.
    Fields(Vec<Expression>),
    /// A function of other values. The number tells it from the statement's other calls: a call is
    /// worth the same wherever in a request it is asked for.
    Call { number: u16, function: Function, arguments: Vec<Expression> },
}

/// The values of a request, by marker.
#[derive(Debug, Default)]
pub(super) struct BoundValues<'a> {
    values: Vec<wire::Value<'a>>,
    /// What functions draw on.
    calls: Option<Calls>,
    /// What those were worth that were called already.
    called: RefCell<BTreeMap<u16, Option<Vec<u8>>>>,
}

/// What a term is worth in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound<'a> {
    /// Null; also a collection without elements that is not frozen, which is the same.
    Null,
    /// Not set: whatever it was for stays as it is.
    Unset,
    /// A value in the canonical form of its type.
    Value(Cow<'a, [u8]>),
}

impl Markers {
    /// The markers of a statement, none of them met yet.
    pub(super) fn of(statement: &sql::Statement) -> Self {
        Self { specs: vec![None; statement.markers().len()], calls: 0 }
    }

    /// Those of a place that may have none.
    pub(super) fn none() -> Self {
        Self { specs: Vec::new(), calls: 0 }
    }

    /// A term that is to be a value of `kind`, for what is called `name`.
    pub(super) fn expression(
        &mut self,
        term: &Term,
        name: &str,
        kind: &CqlType,
    ) -> Result<Expression, PlanError> {
        let slot = match (&term.kind, kind.thawed()) {
            (TermKind::Marker(marker), _) => return Ok(self.marker(marker, name, kind)),
            (TermKind::Hinted { kind: TypeName::Known(hint), term }, wanted)
                if hint.thawed() == wanted =>
            {
                return self.expression(term, name, kind);
            }
            (TermKind::Call { function, arguments }, wanted) => {
                let (gives, slot) = self.call(function, arguments)?;
                if gives != *wanted && (gives, wanted) != (CqlType::Timeuuid, &CqlType::Uuid) {
                    let (kind, given) = (wanted.clone(), "what the function gives");
                    let source = sql::ConstantError::WrongKind { kind, given };
                    return Err(PlanError::Constant { name: name.to_owned(), source });
                }
                slot
            }
            (TermKind::Set(terms), CqlType::Set(of))
            | (TermKind::List(terms), CqlType::List(of)) => self.elements(terms, name, of)?,
            (TermKind::Map(pairs), CqlType::Map(key, of)) => {
                self.entries(pairs, name, (key, of))?
            }
            (TermKind::Tuple(terms), CqlType::Tuple(of)) if terms.len() <= of.len() => {
                self.fields(terms, name, of)?
            }
            _ => Slot::Constant(constant(term, name, kind)?),
        };
        Ok(Expression { name: name.to_owned(), kind: kind.clone(), slot })
    }

    /// A marker that stands for a value of `kind`.
    pub(super) fn marker(&mut self, marker: &Marker, name: &str, kind: &CqlType) -> Expression {
        let shown = marker.name.as_ref().map_or(name, |given| &given.text);
        if let Some(spec) = self.specs.get_mut(usize::from(marker.index)) {
            *spec = Some((shown.to_owned(), kind.clone()));
        }
        let slot = Slot::Marker(marker.index);
        Expression { name: shown.to_owned(), kind: kind.clone(), slot }
    }

    /// Name and type of every marker.
    ///
    /// # Errors
    /// Where a marker was not met, so that nothing gives it a type.
    pub(super) fn specs(self) -> Result<Vec<(String, CqlType)>, PlanError> {
        let met = self.specs.into_iter().collect::<Option<_>>();
        met.ok_or_else(|| PlanError::unsupported("a bind marker in this place"))
    }

    /// The call of a function, and the type of what it gives.
    fn call(
        &mut self,
        function: &Qualified,
        arguments: &[Term],
    ) -> Result<(CqlType, Slot), PlanError> {
        let unknown = || PlanError::UnknownFunction { function: function.to_string() };
        if function.keyspace.as_ref().is_some_and(|name| name.text != "system") {
            return Err(unknown());
        }
        let name = function.name.text.as_str();
        let (arguments, kinds) = match arguments {
            [] => (Vec::new(), Vec::new()),
            [argument] => {
                let argument = self.argument(argument, name)?;
                let kind = argument.kind.clone();
                (vec![argument], vec![kind])
            }
            many => (Vec::new(), vec![CqlType::Blob; many.len()]),
        };
        let (function, gives) = Function::find(name, &kinds)?.ok_or_else(unknown)?;
        let number = self.calls;
        self.calls =
            number.checked_add(1).ok_or_else(|| PlanError::unsupported("so many calls"))?;
        Ok((gives, Slot::Call { number, function, arguments }))
    }

    /// The only argument of a function, as a value of the first type that both can have.
    fn argument(&mut self, term: &Term, function: &str) -> Result<Expression, PlanError> {
        let name = format!("arg0({function})");
        if let TermKind::Call { function, arguments } = &term.kind {
            let (kind, slot) = self.call(function, arguments)?;
            return Ok(Expression { name, kind, slot });
        }
        let own = function.strip_suffix("_as_blob").or_else(|| function.strip_suffix("asblob"));
        let own = own.and_then(|name| name.parse::<CqlType>().ok());
        let common = [CqlType::Timeuuid, CqlType::Timestamp, CqlType::Blob];
        let mut refused = PlanError::UnknownFunction { function: function.to_owned() };
        for kind in own.into_iter().chain(common) {
            match Function::find(function, std::slice::from_ref(&kind)) {
                Ok(Some(_)) => match self.expression(term, &name, &kind) {
                    Ok(argument) => return Ok(argument),
                    Err(error) => refused = error,
                },
                Ok(None) => return Err(refused),
                Err(_) => {}
            }
        }
        Err(refused)
    }

    fn elements(&mut self, terms: &[Term], name: &str, of: &CqlType) -> Result<Slot, PlanError> {
        let name = format!("value({name})");
        let each = terms.iter().map(|term| self.expression(term, &name, of));
        Ok(Slot::Elements(each.collect::<Result<_, _>>()?))
    }

    fn entries(
        &mut self,
        pairs: &[(Term, Term)],
        name: &str,
        (key, of): (&CqlType, &CqlType),
    ) -> Result<Slot, PlanError> {
        let (key_name, value_name) = (format!("key({name})"), format!("value({name})"));
        let each = pairs.iter().map(|(first, second)| {
            let first = self.expression(first, &key_name, key)?;
            Ok((first, self.expression(second, &value_name, of)?))
        });
        Ok(Slot::Entries(each.collect::<Result<_, PlanError>>()?))
    }

    fn fields(&mut self, terms: &[Term], name: &str, of: &[CqlType]) -> Result<Slot, PlanError> {
        let each = terms
            .iter()
            .zip(of)
            .enumerate()
            .map(|(place, (term, of))| self.expression(term, &format!("{name}[{place}]"), of));
        Ok(Slot::Fields(each.collect::<Result<_, _>>()?))
    }
}

fn constant(term: &Term, name: &str, kind: &CqlType) -> Result<Option<Vec<u8>>, PlanError> {
    let refused = |source| PlanError::Constant { name: name.to_owned(), source };
    let value = match &term.kind {
        TermKind::Literal(Literal::Null) => return Ok(None),
        _ => term.constant(kind).map_err(refused)?,
    };
    let encoded = value.map(|value| value.encode(kind)).transpose();
    encoded.map_err(|source| PlanError::Value { name: name.to_owned(), source })
}

impl<'a> BoundValues<'a> {
    /// The values of a request for markers of these names.
    ///
    /// # Errors
    /// Where there are more or fewer values than markers, or a name is missing.
    pub(super) fn new(
        values: &'a wire::Values,
        names: &[(String, CqlType)],
    ) -> Result<Self, PlanError> {
        if values.is_named() {
            let of_name = |(name, _): &(String, CqlType)| {
                let found = values.iter().find(|bound| bound.name == Some(name));
                found
                    .map(|bound| bound.value)
                    .ok_or_else(|| PlanError::NoValue { name: name.clone() })
            };
            return names.iter().map(of_name).collect::<Result<_, _>>().map(Self::of);
        }
        if values.len() != names.len() {
            return Err(PlanError::ValueCount { markers: names.len(), values: values.len() });
        }
        Ok(Self::of(values.iter().map(|bound| bound.value).collect()))
    }

    fn of(values: Vec<wire::Value<'a>>) -> Self {
        Self { values, calls: None, called: RefCell::default() }
    }

    /// The values in a request whose functions draw on this. Without it they are refused.
    pub(super) fn calling(self, calls: Calls) -> Self {
        Self { calls: Some(calls), ..self }
    }

    fn get(&self, marker: u16) -> wire::Value<'a> {
        self.values.get(usize::from(marker)).copied().unwrap_or(wire::Value::Null)
    }
}

impl Expression {
    /// The index of the marker that the whole expression is, if it is one.
    pub(super) fn marker(&self) -> Option<u16> {
        match self.slot {
            Slot::Marker(index) => Some(index),
            _ => None,
        }
    }

    /// The type of its values.
    pub(super) fn kind(&self) -> &CqlType {
        &self.kind
    }

    /// What errors call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The value in this request.
    pub(super) fn bind<'a>(&'a self, values: &BoundValues<'a>) -> Result<Bound<'a>, PlanError> {
        let bound = self.bind_whole(values)?;
        let is_empty = matches!(&bound, Bound::Value(value) if value[..] == [0_u8; 4]);
        Ok(if is_empty && self.kind.is_unfrozen_collection() { Bound::Null } else { bound })
    }

    /// The value in this request, where a collection without elements is one.
    fn bind_whole<'a>(&'a self, values: &BoundValues<'a>) -> Result<Bound<'a>, PlanError> {
        let bytes = match &self.slot {
            Slot::Constant(None) => return Ok(Bound::Null),
            Slot::Constant(Some(constant)) => Cow::Borrowed(constant.as_slice()),
            Slot::Marker(index) => match values.get(*index) {
                wire::Value::Null => return Ok(Bound::Null),
                wire::Value::Unset => return Ok(Bound::Unset),
                wire::Value::Bytes(bytes) => self.normal(bytes)?,
            },
            Slot::Elements(each) => Cow::Owned(self.joined(each.len(), each, values)?),
            Slot::Entries(pairs) => {
                let each = pairs.iter().flat_map(|(key, value)| [key, value]);
                Cow::Owned(self.joined(pairs.len(), each, values)?)
            }
            Slot::Fields(each) => Cow::Owned(self.tuple(each, values)?),
            Slot::Call { number, function, arguments } => {
                match self.called(*number, function, arguments, values)? {
                    Some(value) => Cow::Owned(value),
                    None => return Ok(Bound::Null),
                }
            }
        };
        Ok(Bound::Value(bytes))
    }

    /// The value, which must be there.
    pub(super) fn bind_value<'a>(
        &'a self,
        values: &BoundValues<'a>,
    ) -> Result<Cow<'a, [u8]>, PlanError> {
        self.there(self.bind(values)?)
    }

    fn there<'a>(&self, bound: Bound<'a>) -> Result<Cow<'a, [u8]>, PlanError> {
        match bound {
            Bound::Value(value) => Ok(value),
            Bound::Null => Err(PlanError::Null { name: self.name.clone() }),
            Bound::Unset => Err(PlanError::Unset { name: self.name.clone() }),
        }
    }

    /// The value of an `int`; none where it is not set.
    pub(super) fn bind_int(&self, values: &BoundValues<'_>) -> Result<Option<i32>, PlanError> {
        let value = match self.bind(values)? {
            Bound::Value(value) => value,
            Bound::Unset => return Ok(None),
            Bound::Null => return Err(PlanError::Null { name: self.name.clone() }),
        };
        Ok(value.as_ref().try_into().ok().map(i32::from_be_bytes))
    }

    /// The value of a `bigint`; none where it is not set.
    pub(super) fn bind_bigint(&self, values: &BoundValues<'_>) -> Result<Option<i64>, PlanError> {
        let value = match self.bind(values)? {
            Bound::Value(value) => value,
            Bound::Unset => return Ok(None),
            Bound::Null => return Err(PlanError::Null { name: self.name.clone() }),
        };
        Ok(value.as_ref().try_into().ok().map(i64::from_be_bytes))
    }

    /// The elements of a list or set.
    pub(super) fn bind_elements(
        &self,
        values: &BoundValues<'_>,
    ) -> Result<Vec<Vec<u8>>, PlanError> {
        let list = self.there(self.bind_whole(values)?)?;
        let each = elements(&self.kind, &list).map_err(|source| self.refused(source))?;
        each.map(|element| element.map(<[u8]>::to_vec).map_err(|source| self.refused(source)))
            .collect()
    }

    fn normal<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, PlanError> {
        normalise(&self.kind, bytes).map_err(|source| self.refused(source))
    }

    /// What a call is worth in this request.
    fn called(
        &self,
        number: u16,
        function: &Function,
        arguments: &[Self],
        values: &BoundValues<'_>,
    ) -> Result<Option<Vec<u8>>, PlanError> {
        if let Some(value) = values.called.borrow().get(&number) {
            return Ok(value.clone());
        }
        let here = || PlanError::unsupported("a function as a value in this place");
        let calls = values.calls.as_ref().ok_or_else(here)?;
        let arguments = arguments.iter().map(|argument| match argument.bind_whole(values)? {
            Bound::Value(value) => Ok(Some(value.into_owned())),
            Bound::Null => Ok(None),
            Bound::Unset => Err(PlanError::Unset { name: argument.name.clone() }),
        });
        let value = function.call(&arguments.collect::<Result<Vec<_>, _>>()?, calls)?;
        if let Some(value) = &value {
            self.normal(value)?;
        }
        values.called.borrow_mut().insert(number, value.clone());
        Ok(value)
    }

    /// The collection of so many elements, each made of one value or, in a map, of two.
    fn joined<'s>(
        &self,
        count: usize,
        each: impl IntoIterator<Item = &'s Self>,
        values: &BoundValues<'_>,
    ) -> Result<Vec<u8>, PlanError> {
        let mut joined = self.length(count)?.to_vec();
        for element in each {
            let value = element.there(element.bind_whole(values)?)?;
            joined.extend_from_slice(&self.length(value.len())?);
            joined.extend_from_slice(&value);
        }
        self.normal(&joined).map(Cow::into_owned)
    }

    /// The tuple of the fields, some of which may be null.
    fn tuple(&self, each: &[Self], values: &BoundValues<'_>) -> Result<Vec<u8>, PlanError> {
        let mut joined = Vec::new();
        for field in each {
            match field.bind_whole(values)? {
                Bound::Value(value) => {
                    joined.extend_from_slice(&self.length(value.len())?);
                    joined.extend_from_slice(&value);
                }
                Bound::Null => joined.extend_from_slice(&(-1_i32).to_be_bytes()),
                Bound::Unset => return Err(PlanError::Unset { name: field.name.clone() }),
            }
        }
        self.normal(&joined).map(Cow::into_owned)
    }

    fn length(&self, len: usize) -> Result<[u8; 4], PlanError> {
        let too_large = || types::ValueError::TooLarge { kind: self.kind.clone() };
        i32::try_from(len).map(i32::to_be_bytes).map_err(|_| self.refused(too_large()))
    }

    fn refused(&self, source: types::ValueError) -> PlanError {
        PlanError::Value { name: self.name.clone(), source }
    }
}

#[cfg(test)]
mod tests;
