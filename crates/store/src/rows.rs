//! The statements of a key store, written once for each database.
//!
//! sqlx checks arguments by the type of the database, so what differs is a parameter: how a writing
//! transaction begins, what it locks first, and how ids are ordered.

macro_rules! insert {
    ($rest:literal) => {
        concat!(
            "INSERT INTO keys (id, family, tenant, name, hash, pepper_kid, kind, scopes, limits, created_at, ",
            "not_before, expires_at, rotated_to, grace_until, revoked_at, last_used_at) ",
            "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 ",
            $rest
        )
    };
}

macro_rules! key_rows {
    ($store:ty, begin: $begin:literal, lock: $lock:literal, list: $list:literal) => {
        impl $store {
            async fn find_row(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
                let row = sqlx::query("SELECT * FROM keys WHERE id = $1")
                    .bind(id.as_str().to_owned())
                    .fetch_optional(self.pool()?)
                    .await
                    .map_err(failure)?;
                row.as_ref().map(read).transpose()
            }

            async fn replace_rows(
                &self,
                old: &KeyId,
                grace_until: UnixMillis,
                new: &KeyRecord,
            ) -> Result<(), StoreError> {
                let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                let replaced = sqlx::query(
                    "UPDATE keys SET rotated_to = $1, grace_until = $2 \
                     WHERE id = $3 AND revoked_at IS NULL AND rotated_to IS NULL",
                )
                .bind(new.id.as_str().to_owned())
                .bind(time(grace_until))
                .bind(old.as_str().to_owned())
                .execute(&mut *transaction)
                .await
                .map_err(failure)?;
                if replaced.rows_affected() != 1 {
                    return Err(StoreError::Conflict);
                }
                bind(sqlx::query(insert!("")), new)?.execute(&mut *transaction).await.map_err(failure)?;
                transaction.commit().await.map_err(failure)
            }

            async fn revoke_rows(&self, target: &Revoke, at: UnixMillis) -> Result<u64, StoreError> {
                let (sql, name) = match target {
                    Revoke::Key(id) => {
                        ("UPDATE keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", id.as_str())
                    }
                    Revoke::Family(family) => {
                        ("UPDATE keys SET revoked_at = $1 WHERE family = $2 AND revoked_at IS NULL", family.as_str())
                    }
                };
                let query = sqlx::query(sql).bind(time(at)).bind(name.to_owned());
                query.execute(self.pool()?).await.map(|done| done.rows_affected()).map_err(failure)
            }

            async fn list_rows(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyRecord>, StoreError> {
                let after = after.map(KeyId::as_str).unwrap_or_default().to_owned();
                let rows = sqlx::query($list)
                    .bind(after)
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(self.pool()?)
                    .await
                    .map_err(failure)?;
                rows.iter().map(read).collect()
            }

            async fn touch_rows(&self, used: &[(KeyId, UnixMillis)]) -> Result<(), StoreError> {
                let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                for (id, at) in used {
                    sqlx::query(
                        "UPDATE keys SET last_used_at = $1 \
                         WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
                    )
                    .bind(time(*at))
                    .bind(id.as_str().to_owned())
                    .execute(&mut *transaction)
                    .await
                    .map_err(failure)?;
                }
                transaction.commit().await.map_err(failure)
            }

            async fn insert_row(&self, record: &KeyRecord, first_at: Option<UnixMillis>) -> Result<(), StoreError> {
                let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                let query = match first_at {
                    None => bind(sqlx::query(insert!("")), record)?,
                    Some(now) => {
                        sqlx::query($lock).execute(&mut *transaction).await.map_err(failure)?;
                        let sql = insert!(
                            "WHERE NOT EXISTS (SELECT 1 FROM keys WHERE kind = 'admin' AND revoked_at IS NULL \
                             AND (expires_at IS NULL OR expires_at > $17) \
                             AND (grace_until IS NULL OR grace_until > $17))"
                        );
                        bind(sqlx::query(sql), record)?.bind(time(now))
                    }
                };
                let done = query.execute(&mut *transaction).await.map_err(failure)?;
                transaction.commit().await.map_err(failure)?;
                if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
            }
        }

        impl KeyStore for $store {
            fn find<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>, StoreError>> {
                Box::pin(self.find_row(id))
            }

            fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<(), StoreError>> {
                Box::pin(self.insert_row(record, None))
            }

            fn insert_first_admin<'a>(
                &'a self,
                record: &'a KeyRecord,
                now: UnixMillis,
            ) -> BoxFuture<'a, Result<(), StoreError>> {
                Box::pin(self.insert_row(record, Some(now)))
            }

            fn replace<'a>(
                &'a self,
                old: &'a KeyId,
                grace_until: UnixMillis,
                new: &'a KeyRecord,
            ) -> BoxFuture<'a, Result<(), StoreError>> {
                Box::pin(self.replace_rows(old, grace_until, new))
            }

            fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> BoxFuture<'a, Result<u64, StoreError>> {
                Box::pin(self.revoke_rows(target, at))
            }

            fn list<'a>(
                &'a self,
                after: Option<&'a KeyId>,
                limit: usize,
            ) -> BoxFuture<'a, Result<Vec<KeyRecord>, StoreError>> {
                Box::pin(self.list_rows(after, limit))
            }

            fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> BoxFuture<'a, Result<(), StoreError>> {
                Box::pin(self.touch_rows(used))
            }
        }
    };
}

pub(crate) use {insert, key_rows};
