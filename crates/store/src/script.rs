//! One Lua script, by its digest where the server knows it.

use std::time::Duration;

use redis::FromRedisValue;
use redis_place::{PlaceError, RedisTls};

use crate::caller::{Caller, NoAnswer};

/// A script that may run twice: what it did once, it does no second time.
pub(crate) struct Script {
    caller: Caller,
    source: &'static str,
    /// SHA-1 of the source.
    digest: String,
}

impl Script {
    /// At an address as [`RedisPlace::new`](redis_place::RedisPlace::new) reads it, for keys that begin with `prefix`.
    /// Connects to nobody yet.
    pub(crate) fn new(
        source: &'static str,
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        if prefix.contains('{') {
            return Err(PlaceError::Settings("the prefix of the keys has a brace"));
        }
        let digest = redis::Script::new(source).get_hash().to_owned();
        Ok(Self { caller: Caller::new(url, tls, sentinel_login)?, source, digest })
    }

    /// Runs it with these keys, and the arguments that `add` adds, within `deadline`.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        keys: &[String],
        add: impl Fn(&mut redis::Cmd),
        deadline: Duration,
    ) -> Result<T, NoAnswer> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys);
            add(&mut command);
            command
        };
        let (by_digest, whole) = (command("EVALSHA", &self.digest), command("EVAL", self.source));
        self.caller.call(keys, &by_digest, Some(&whole), deadline).await
    }
}
