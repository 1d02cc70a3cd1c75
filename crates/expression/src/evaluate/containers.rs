//! Lists and maps, wherever they are kept: in the request, in the expression, in claims.

use std::borrow::Cow;
use std::ops::ControlFlow;

use tollgate_message::Known;

use super::{Evaluated, Evaluation};
use crate::error::EvaluateError;
use crate::inputs::{Key, Visit};
use crate::value::Value;
use crate::variables::{ListVariable, MapVariable};

/// Finding an entry of a map costs as many steps at most: a request has few.
const LOOK_UP: usize = 4;

impl<'a> Evaluation<'a> {
    pub(super) fn equal(&mut self, left: &Value<'a>, right: &Value<'a>) -> Evaluated<bool> {
        match (left, right) {
            (Value::Text(a), Value::Text(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                self.spend_on(a)?;
                Ok(a == b)
            }
            (Value::Null, Value::Null) => Ok(true),
            _ => match (left.kind(), right.kind()) {
                ("list", "list") => self.equal_lists(left, right),
                ("map", "map") => self.equal_maps(left, right),
                _ => Ok(left.order(right).is_some_and(|order| order.is_eq())),
            },
        }
    }

    fn equal_lists(&mut self, left: &Value<'a>, right: &Value<'a>) -> Evaluated<bool> {
        let (left, right) = (self.items(left)?, self.items(right)?);
        if left.len() != right.len() {
            return Ok(false);
        }
        for (left, right) in left.iter().zip(&right) {
            self.spend(1)?;
            if !self.equal(left, right)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, left: &Value<'a>, right: &Value<'a>) -> Evaluated<bool> {
        let keys = self.items(left)?;
        if self.length(right)? != Some(keys.len()) {
            return Ok(false);
        }
        for key in &keys {
            let Value::Text(name) = key else { return Ok(false) };
            let (Some(a), Some(b)) = (self.look_up(left, name)?, self.look_up(right, name)?) else {
                return Ok(false);
            };
            if !self.equal(&a, &b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `item in container`
    pub(super) fn contains(&mut self, container: &Value<'a>, item: &Value<'a>) -> Evaluated<bool> {
        match container {
            Value::InputList(list) => self.input_list_has(*list, item),
            Value::List(items) => {
                for candidate in items.items() {
                    self.spend(1)?;
                    if self.equal(candidate, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::JsonList(items) => {
                for candidate in *items {
                    self.spend(1)?;
                    if self.equal(&Value::of_json(candidate), item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::InputMap(_) | Value::Map(_) | Value::JsonMap(_) => match item {
                Value::Text(name) => self.has(container, name),
                _ => Ok(false),
            },
            other => Err(EvaluateError::WrongType { wanted: "list", found: other.kind() }),
        }
    }

    fn input_list_has(&mut self, list: ListVariable, item: &Value<'a>) -> Evaluated<bool> {
        let Value::Text(item) = item else { return Ok(false) };
        let mut walked = 0;
        let found = self.inputs.items(list, &mut |candidate| {
            walked += 1;
            if candidate == *item { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.spend(walked)?;
        Ok(found.is_break())
    }

    pub(super) fn has(&mut self, map: &Value<'a>, name: &[u8]) -> Evaluated<bool> {
        match map {
            Value::InputMap(_) | Value::Map(_) | Value::JsonMap(_) => Ok(self.look_up(map, name)?.is_some()),
            other => Err(EvaluateError::WrongType { wanted: "map", found: other.kind() }),
        }
    }

    fn look_up(&mut self, map: &Value<'a>, name: &[u8]) -> Evaluated<Option<Value<'a>>> {
        self.spend(LOOK_UP)?;
        Ok(match map {
            Value::InputMap(map) => self.input_entry(*map, name),
            Value::JsonMap(entries) => {
                std::str::from_utf8(name).ok().and_then(|name| entries.get(name)).map(Value::of_json)
            }
            Value::Map(entries) => {
                self.spend(entries.items().len())?;
                let is_it = |key: &Value<'_>| matches!(key, Value::Text(key) if key.as_ref() == name);
                let entry = entries.items().iter().find(|(key, _)| is_it(key));
                entry.map(|(_, value)| self.copy(value)).transpose()?
            }
            _ => None,
        })
    }

    fn input_entry(&self, map: MapVariable, name: &[u8]) -> Option<Value<'a>> {
        let inputs = self.inputs;
        let entry = match map {
            MapVariable::Headers => {
                let small: Cow<'_, [u8]> = match name.iter().any(u8::is_ascii_uppercase) {
                    true => Cow::Owned(name.to_ascii_lowercase()),
                    false => Cow::Borrowed(name),
                };
                inputs.entry(map, Key { bytes: &small, known: Known::from_name(&small) })
            }
            _ => inputs.entry(map, Key { bytes: name, known: Known::Other }),
        };
        entry.map(Value::Text)
    }

    /// `map.key`
    pub(super) fn member(&mut self, map: &Value<'a>, key: &'a str) -> Evaluated<Value<'a>> {
        let entry = match map {
            Value::JsonMap(entries) => {
                self.spend(LOOK_UP)?;
                entries.get(key).map(Value::of_json)
            }
            Value::InputMap(_) | Value::Map(_) => self.look_up(map, key.as_bytes())?,
            other => return Err(EvaluateError::WrongType { wanted: "map", found: other.kind() }),
        };
        entry.ok_or_else(|| EvaluateError::missing(key.as_bytes()))
    }

    /// `container[index]`
    pub(super) fn index(&mut self, container: Value<'a>, index: &Value<'a>) -> Evaluated<Value<'a>> {
        match (&container, index) {
            (Value::InputMap(_) | Value::Map(_) | Value::JsonMap(_), Value::Text(name)) => {
                let entry = self.look_up(&container, name)?;
                entry.ok_or_else(|| EvaluateError::missing(name))
            }
            (Value::InputList(_) | Value::List(_) | Value::JsonList(_), Value::Int(place)) => {
                let item =
                    usize::try_from(*place).ok().map(|place| self.item(&container, place)).transpose()?;
                item.flatten().ok_or(EvaluateError::OutOfRange(*place))
            }
            (Value::InputMap(_) | Value::Map(_) | Value::JsonMap(_), other) => {
                Err(EvaluateError::WrongType { wanted: "string", found: other.kind() })
            }
            (Value::InputList(_) | Value::List(_) | Value::JsonList(_), other) => {
                Err(EvaluateError::WrongType { wanted: "int", found: other.kind() })
            }
            (other, _) => Err(EvaluateError::WrongType { wanted: "map", found: other.kind() }),
        }
    }

    fn item(&mut self, list: &Value<'a>, place: usize) -> Evaluated<Option<Value<'a>>> {
        Ok(match list {
            Value::List(items) => items.items().get(place).map(|item| self.copy(item)).transpose()?,
            Value::JsonList(items) => items.get(place).map(Value::of_json),
            Value::InputList(list) => {
                let (mut found, mut walked) = (None, 0);
                let _ = self.inputs.items(*list, &mut |item| {
                    walked += 1;
                    if walked <= place {
                        return ControlFlow::Continue(());
                    }
                    found = Some(Value::Text(item));
                    ControlFlow::Break(())
                });
                self.spend(walked)?;
                found
            }
            _ => None,
        })
    }

    /// How many items or entries there are; `None` of what is no list or map.
    pub(super) fn length(&mut self, of: &Value<'a>) -> Evaluated<Option<usize>> {
        Ok(Some(match of {
            Value::List(items) => items.items().len(),
            Value::Map(entries) => entries.items().len(),
            Value::JsonList(items) => items.len(),
            Value::JsonMap(entries) => entries.len(),
            Value::InputList(_) | Value::InputMap(_) => self.items(of)?.len(),
            _ => return Ok(None),
        }))
    }

    /// The items of a list, the keys of a map.
    pub(super) fn items(&mut self, of: &Value<'a>) -> Evaluated<Vec<Value<'a>>> {
        let mut items = Vec::new();
        let most = self.steps as usize;
        let mut push = |item: Cow<'a, [u8]>| -> Visit {
            items.push(Value::Text(item));
            if items.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match of {
            Value::InputList(list) => drop(self.inputs.items(*list, &mut push)),
            Value::InputMap(map) => drop(self.inputs.entries(*map, &mut |key, _| push(key))),
            Value::List(row) => {
                self.spend(row.items().len())?;
                return row.items().iter().map(|item| self.copy(item)).collect();
            }
            Value::Map(row) => items.extend(row.items().iter().map(|(key, _)| key.clone())),
            Value::JsonList(json) => {
                self.spend(json.len())?;
                return Ok(json.iter().map(Value::of_json).collect());
            }
            Value::JsonMap(entries) => {
                self.spend(entries.len())?;
                return Ok(entries.keys().map(|key| Value::Text(Cow::Borrowed(key.as_bytes()))).collect());
            }
            other => return Err(EvaluateError::WrongType { wanted: "list", found: other.kind() }),
        }
        self.spend(items.len())?;
        Ok(items)
    }
}
