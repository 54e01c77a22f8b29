//! JSON read strictly: a key that occurs twice is an error, depth is bounded by the parser's limit
//! of 128, numbers keep their bits. A value in memory can take a hundred times its text, so what is
//! built is counted while it is read, and refused past a budget.

use crate::error::{Error, Result, visible};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// Bytes that one value may take in memory.
pub(super) const BUDGET: usize = 320 << 20;

/// What an object with one member takes: a node of a B-tree.
const OBJECT: usize = 640;
/// What each further member and each item of a list takes.
const ITEM: usize = 64;

/// Parses a text; `what` names it in errors.
pub(super) fn parse(text: &[u8], what: &str) -> Result<Value> {
    let left = Cell::new(BUDGET);
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = Strict(&left).deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| invalid(what, &error))
}

fn invalid(what: &str, error: &serde_json::Error) -> Error {
    Error::Format(format!("the {what} is not valid JSON: {error}"))
}

/// Hands the members of an object on one after another, so that only one is held in memory; each may
/// take `budget` bytes there, and there are at most `most`.
pub(super) fn members(
    text: &[u8],
    what: &str,
    most: usize,
    budget: impl Fn(&str) -> usize,
    mut take: impl FnMut(String, Value) -> Result<()>,
) -> Result<()> {
    let mut refused = None;
    let mut parser = serde_json::Deserializer::from_slice(text);
    let walk = Members { what, most, budget, take: &mut take, refused: &mut refused };
    let done = parser.deserialize_any(walk).and_then(|()| parser.end());
    match (refused, done) {
        (Some(error), _) => Err(error),
        (None, done) => done.map_err(|error| invalid(what, &error)),
    }
}

struct Members<'a, B, T> {
    what: &'a str,
    most: usize,
    budget: B,
    take: &'a mut T,
    refused: &'a mut Option<Error>,
}

impl<'de, B: Fn(&str) -> usize, T: FnMut(String, Value) -> Result<()>> Visitor<'de> for Members<'_, B, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} to be a JSON object", self.what)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = items.next_key::<String>()? {
            if seen.len() >= self.most {
                return Err(A::Error::custom(format!("more than {} members", self.most)));
            }
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key '{}' occurs twice", shorten(&key))));
            }
            let left = Cell::new((self.budget)(&key));
            let value = items.next_value_seed(Strict(&left))?;
            if let Err(error) = (self.take)(key, value) {
                *self.refused = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

fn shorten(key: &str) -> String {
    let cut: String = key.chars().take(100).collect();
    let end = if cut.len() < key.len() { "..." } else { "" };
    format!("{}{end}", visible(&cut))
}

/// Reads any value, counting what it takes.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<usize>);

impl Strict<'_> {
    fn spend<E: serde::de::Error>(self, bytes: usize) -> std::result::Result<(), E> {
        match self.0.get().checked_sub(bytes) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => {
                Err(E::custom("it would take too much memory: more lists, objects and text than are read"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(flag))
    }
    fn visit_i64<E>(self, n: i64) -> std::result::Result<Value, E> {
        Ok(n.into())
    }
    fn visit_u64<E>(self, n: u64) -> std::result::Result<Value, E> {
        Ok(n.into())
    }
    fn visit_f64<E>(self, x: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(x).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Value, E> {
        self.spend(text.len() + ITEM)?;
        Ok(text.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.spend(ITEM)?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = items.next_key::<String>()? {
            self.spend(if map.is_empty() { OBJECT } else { 2 * ITEM } + key.len())?;
            let value = items.next_value_seed(self)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key '{}' occurs twice", shorten(&key))));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
