//! Loops over lists and maps.

use super::{Evaluated, Evaluation};
use crate::node::{Loop, LoopKind};
use crate::value::{Row, Value};

impl<'a> Evaluation<'a> {
    /// `all`, `exists`, `exists_one`
    pub(super) fn quantify(&mut self, walk: &'a Loop) -> Evaluated<bool> {
        let range = self.value(&walk.range)?;
        let items = self.items(&range)?;
        self.within(|this| match walk.kind {
            LoopKind::All => this.all(items.into_iter(), |this, item| this.body_truth(walk, item)),
            LoopKind::Exists => this
                .all(items.into_iter(), |this, item| this.body_truth(walk, item).map(|truth| !truth))
                .map(|none| !none),
            _ => {
                let mut found = 0usize;
                for item in items {
                    found += usize::from(this.body_truth(walk, item)?);
                }
                Ok(found == 1)
            }
        })
    }

    /// `map`, `filter`
    pub(super) fn collect(&mut self, walk: &'a Loop) -> Evaluated<Value<'a>> {
        let range = self.value(&walk.range)?;
        let items = self.items(&range)?;
        let mut collected = Vec::new();
        self.within(|this| {
            for item in items {
                this.set_local(item);
                if let Some(filter) = &walk.filter
                    && !this.truth(filter)?
                {
                    continue;
                }
                if walk.kind == LoopKind::Map {
                    collected.push(this.value(&walk.body)?);
                } else if this.truth(&walk.body)? {
                    collected.extend(this.locals.last_mut().map(|item| std::mem::replace(item, Value::Null)));
                }
            }
            Ok(())
        })?;
        Ok(Value::List(Row::Made(collected.into())))
    }

    fn body_truth(&mut self, walk: &'a Loop, item: Value<'a>) -> Evaluated<bool> {
        self.set_local(item);
        self.truth(&walk.body)
    }

    fn set_local(&mut self, item: Value<'a>) {
        if let Some(local) = self.locals.last_mut() {
            *local = item;
        }
    }

    /// Runs a loop with a place for its item, which is gone after it also if it fails: an `||` around may go on.
    fn within<T>(&mut self, run: impl FnOnce(&mut Self) -> Evaluated<T>) -> Evaluated<T> {
        self.locals.push(Value::Null);
        let result = run(self);
        self.locals.pop();
        result
    }
}
