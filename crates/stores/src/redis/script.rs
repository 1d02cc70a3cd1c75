//! The script that decides, what it is asked and what it answers.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use redis::{Cmd, Value};

use super::unavailable::{Unavailable, UnavailableKind};
use crate::{Decision, Gcra, Period, SlidingWindow};

/// How a limit counts in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Evenly spread, with a burst.
    Gcra(Gcra),
    /// So many within any window.
    SlidingWindow(SlidingWindow),
    /// So many in a period of the calendar.
    Quota {
        /// How many.
        limit: u64,
        /// In which period.
        period: Period,
    },
}

/// One question: may a request of this cost pass this limit?
#[derive(Clone, Copy, Debug)]
pub struct Take<'a> {
    /// The limit's name, the same in all instances. Not to hold `{`.
    pub limit: &'a str,
    /// For whom it is counted.
    pub key: &'a [u8],
    /// How.
    pub counting: Counting,
    /// What the request costs. With zero it passes, counts nothing, and tells what is left.
    pub cost: u64,
}

/// What is done to a key's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Take the cost, or nothing.
    Take(u64),
    /// Take up to so many, and at least the second, or nothing.
    Lease(u64, u64),
    /// Give so many back.
    Return(u64),
}

/// A question as Redis gets it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) key: Vec<u8>,
    pub(super) counting: Counting,
    pub(super) deed: Deed,
}

/// What Redis answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    /// How many units were taken.
    pub(super) granted: u64,
}

/// Greater than any count that a number in Lua can tell from its neighbours would need.
const MOST: u64 = 1 << 50;

/// Decides for each key in turn. Arguments per key: the kind, three numbers of it, how many units are wanted, how many at
/// least; wanted below zero gives back. Times are microseconds of the server's clock since 2026, so that a number of
/// Lua (53 bits) holds them with room for fractions. Answers five numbers per key: allowed, granted, remaining, reset after,
/// retry after (-1 for never).
const BODY: &str = r"
local time = redis.call('TIME')
local unix = tonumber(time[1])
local now = (unix - 1767225600) * 1000000 + tonumber(time[2])
local out = {}
local function answer(allowed, granted, remaining, reset, retry)
  local n = #out
  out[n + 1] = allowed and 1 or 0
  out[n + 2] = granted
  out[n + 3] = math.max(0, math.floor(remaining))
  out[n + 4] = math.max(0, math.ceil(reset))
  out[n + 5] = allowed and 0 or math.ceil(retry)
end
local function keep(key, value, us)
  redis.call('SET', key, value, 'PX', math.max(1, math.ceil(us / 1000)))
end
-- How many units of those wanted are had when `free` are there; none if that is too few.
local function share(free, wanted, least)
  local had = math.min(wanted, math.max(0, math.floor(free)))
  if had < least then return 0, false end
  return had, true
end
local kinds = {}
function kinds.g(key, interval, burst, _, wanted, least)
  local capacity = interval * burst
  local tat = tonumber(redis.call('GET', key) or '') or now
  local debt = math.min(capacity, math.max(0, tat - now))
  -- Half a microsecond for what fractions lose on the way.
  local granted, allowed = share((capacity - debt + 0.5) / interval, wanted, least)
  local after = math.max(0, debt + granted * interval)
  if granted ~= 0 then keep(key, string.format('%.3f', now + after), after + 1000) end
  local retry = -1
  if least <= burst then retry = debt + least * interval - capacity end
  answer(allowed, granted, (capacity - after + 0.5) / interval, after, retry)
end
function kinds.w(key, limit, window, _, wanted, least)
  local number = math.floor(now / window)
  local left = (number + 1) * window - now
  local n, before, running = string.match(redis.call('GET', key) or '', '^(%-?%d+) (%d+) (%d+)$')
  n, before, running = tonumber(n), tonumber(before) or 0, tonumber(running) or 0
  if n == number - 1 then before, running = running, 0
  elseif n ~= number then before, running = 0, 0 end
  local free = limit - running - before * left / window
  local granted, allowed = share(free, wanted, least)
  if wanted < 0 then granted = math.max(granted, -running) end
  local retry = -1
  if not allowed and least <= limit then
    if running + least <= limit then
      retry = left - math.min(window, (limit - running - least) * window / math.max(1, before))
    else
      retry = left + window - math.min(window, (limit - least) * window / math.max(1, running))
    end
  end
  running = running + granted
  if granted ~= 0 then
    keep(key, string.format('%d %d %d', number, before, running), left + window)
  end
  local reset = 0
  if running > 0 then reset = left + window elseif before > 0 then reset = left end
  answer(allowed, granted, free - granted, reset, retry)
end
function kinds.q(key, limit, start, span, wanted, least)
  -- `span` is the ends of the running and of the next period, as the asking instance sees it.
  local first, second = string.match(span, '^(%d+),(%d+)$')
  local stop = tonumber(first)
  if unix < start then stop = start elseif unix >= stop then stop = tonumber(second) end
  local of, used = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)$')
  used = tonumber(of) == stop and tonumber(used) or 0
  local granted, allowed = share(limit - used, wanted, least)
  if wanted < 0 then granted = math.max(granted, -used) end
  used = used + granted
  local reset = (stop - 1767225600) * 1000000 - now
  if granted ~= 0 then keep(key, string.format('%d %d', stop, used), reset) end
  answer(allowed, granted, limit - used, reset, least <= limit and reset or -1)
end
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 6
  local wanted, least = tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
  kinds[ARGV[a + 1]](key, tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), ARGV[a + 4], wanted, least)
end
return out
";

struct Script {
    hash: String,
}

static SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script { hash: redis::Script::new(BODY).get_hash().to_owned() });

/// The key of a count: the limit's name, and a digest of for whom it is, which may be a secret. In a cluster all
/// counts of the same caller are on one server.
pub(super) fn key(prefix: &str, limit: &str, of: &[u8]) -> Vec<u8> {
    let digest = digest(&SHA256, of);
    let mut key = Vec::with_capacity(prefix.len() + limit.len() + 35);
    key.extend_from_slice(prefix.as_bytes());
    key.extend_from_slice(limit.as_bytes());
    key.extend_from_slice(b":{");
    for byte in &digest.as_ref()[..16] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        key.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    key.push(b'}');
    key
}

/// The command that asks, with the script by its hash, or whole if the server does not have it.
pub(super) fn command(questions: &[&Question], whole: bool, wall_s: u64) -> Cmd {
    let mut command = if whole { redis::cmd("EVAL") } else { redis::cmd("EVALSHA") };
    command.arg(if whole { BODY } else { &SCRIPT.hash }).arg(questions.len());
    for question in questions {
        command.arg(&question.key);
    }
    for question in questions {
        match question.counting {
            Counting::Gcra(gcra) => {
                let interval_us = gcra.interval_ns() as f64 / 1000.0;
                command.arg("g").arg(interval_us).arg(gcra.burst().min(MOST)).arg(0);
            }
            Counting::SlidingWindow(window) => {
                command.arg("w").arg(window.limit()).arg(window.window_us()).arg(0);
            }
            Counting::Quota { limit, period } => {
                let (start, end) = period.bounds_s(wall_s);
                let (_, next) = period.bounds_s(end);
                command.arg("q").arg(limit.min(MOST)).arg(start).arg(format!("{end},{next}"));
            }
        }
        let most = |units: u64| units.min(MOST) as i64;
        let (wanted, least) = match question.deed {
            Deed::Take(cost) => (most(cost), most(cost)),
            Deed::Lease(wanted, least) => (most(wanted.max(least)), most(least)),
            Deed::Return(units) => (-most(units), -most(units)),
        };
        command.arg(wanted).arg(least);
    }
    command
}

/// Reads the answers to so many questions.
pub(super) fn answers(value: &Value, questions: usize) -> Result<Vec<Answer>, Unavailable> {
    let garbled = || Unavailable::new(UnavailableKind::Garbled, format!("the script answered {value:?}"));
    let Value::Array(numbers) = value else { return Err(garbled()) };
    if numbers.len() != questions * 5 {
        return Err(garbled());
    }
    let answer = |five: &[Value]| match five {
        [
            Value::Int(allowed),
            Value::Int(granted),
            Value::Int(remaining),
            Value::Int(reset),
            Value::Int(retry),
        ] => {
            let decision = Decision {
                allowed: *allowed == 1,
                remaining: u64::try_from(*remaining).unwrap_or(0),
                reset_after_us: u64::try_from(*reset).unwrap_or(0),
                retry_after_us: u64::try_from(*retry).ok(),
            };
            Ok(Answer { decision, granted: u64::try_from(*granted).unwrap_or(0) })
        }
        _ => Err(garbled()),
    };
    numbers.chunks(5).map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::{answers, key};
    use redis::Value;

    #[test]
    fn keys_tell_limits_and_callers_apart_and_hide_the_latter() {
        let text = String::from_utf8(key("p:", "minute", b"secret")).unwrap();
        assert!(text.starts_with("p:minute:{") && text.ends_with('}') && !text.contains("secret"), "{text}");
        assert_ne!(key("p:", "a", b"x"), key("p:", "b", b"x"));
        assert_ne!(key("p:", "a", b"x"), key("p:", "a", b"y"));
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        let numbers = |n: usize| Value::Array(vec![Value::Int(1); n]);
        assert_eq!(answers(&numbers(10), 2).unwrap().len(), 2);
        for bad in [numbers(9), Value::Nil, Value::Array(vec![Value::Nil; 10])] {
            assert!(answers(&bad, 2).is_err(), "{bad:?}");
        }
    }
}
