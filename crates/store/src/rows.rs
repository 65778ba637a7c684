//! The statements of a key store, written once for each database.
//!
//! sqlx checks arguments by the type of the database, so what differs is a parameter: how a writing
//! transaction begins, what it locks first, and how names are ordered.
//!
//! Whatever changes keys of a tenant locks the tenant's row first: so no key is made in a tenant, or in a
//! family, that is being revoked or changed at the same time.

/// Keys of which the last use is noted in one transaction.
pub(crate) const NOTED_AT_ONCE: usize = 100;

macro_rules! insert {
    () => {
        concat!(
            "INSERT INTO keys (id, family, tenant, name, hash, pepper_kid, kind, scopes, limits, created_at, ",
            "not_before, expires_at, rotated_to, grace_until, revoked_at, last_used_at, made_by, addresses, ",
            "version, rotated_at) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
        )
    };
}

macro_rules! key_rows {
    (
        $store:ty, $database:ty, begin: $begin:literal, first: $first:literal, lock: $lock:literal, share: $share:literal,
        by_bytes: $by_bytes:literal, unlocked: $unlocked:literal
    ) => {
        impl $store {
            /// A writing transaction that has the tenant for itself. A tenant that is not there, or revoked, is
            /// a conflict. Until its end whoever asks is not revoked.
            async fn begin(
                &self,
                tenant: &Tenant,
                asked: Asked<'_>,
            ) -> Result<sqlx::Transaction<'static, $database>, StoreError> {
                let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                let locked = sqlx::query(concat!("SELECT * FROM tenants WHERE id = $1", $lock))
                    .bind(tenant.to_string())
                    .fetch_optional(&mut *transaction)
                    .await
                    .map_err(failure)?;
                let tenant = locked.as_ref().map(read_tenant).transpose()?;
                if tenant.is_none_or(|tenant| tenant.revoked_at.is_some()) {
                    return Err(StoreError::Conflict);
                }
                if let Some(by) = asked.by {
                    let sql = concat!("SELECT id FROM keys WHERE id = $1 AND revoked_at IS NULL", $share);
                    let query = sqlx::query(sql).bind(by.as_str().to_owned());
                    let asker = query.fetch_optional(&mut *transaction).await.map_err(failure)?;
                    asker.ok_or(StoreError::AskerRevoked)?;
                }
                Ok(transaction)
            }

            async fn find_row(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
                let row = sqlx::query("SELECT * FROM keys WHERE id = $1")
                    .bind(id.as_str().to_owned())
                    .fetch_optional(self.pool()?)
                    .await
                    .map_err(failure)?;
                row.as_ref().map(read).transpose()
            }

            async fn add(
                transaction: &mut sqlx::Transaction<'static, $database>,
                record: &KeyRecord,
                once: Option<&OnceRecord>,
            ) -> Result<(), StoreError> {
                bind(sqlx::query(insert!()), record)?.execute(&mut **transaction).await.map_err(failure)?;
                sqlx::query("DELETE FROM issued_once WHERE expires_at <= $1")
                    .bind(time(record.created_at))
                    .execute(&mut **transaction)
                    .await
                    .map_err(failure)?;
                let Some(once) = once else { return Ok(()) };
                sqlx::query("INSERT INTO issued_once VALUES ($1, $2, $3, $4, $5, $6)")
                    .bind(once.maker.as_str().to_owned())
                    .bind(once.token.clone())
                    .bind(hex(&once.request))
                    .bind(hex(&once.nonce))
                    .bind(once.key_id.as_str().to_owned())
                    .bind(time(once.expires_at))
                    .execute(&mut **transaction)
                    .await
                    .map(drop)
                    .map_err(failure)
            }

            async fn insert_row(&self, record: &KeyRecord, asked: Asked<'_>) -> Result<(), StoreError> {
                let mut transaction = self.begin(&record.tenant, asked).await?;
                Self::add(&mut transaction, record, asked.once).await?;
                transaction.commit().await.map_err(failure)
            }

            async fn insert_first(&self, record: &KeyRecord, now: UnixMillis) -> Result<(), StoreError> {
                let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                sqlx::query($first).execute(&mut *transaction).await.map_err(failure)?;
                let sql = "SELECT * FROM keys WHERE kind = 'admin' AND revoked_at IS NULL";
                let admins = sqlx::query(sql).fetch_all(&mut *transaction).await.map_err(failure)?;
                // One that cannot be read administers nothing.
                if admins.iter().any(|row| read(row).is_ok_and(|admin| admin.is_active_admin(now))) {
                    // At once: all who start wait for the lock.
                    transaction.rollback().await.map_err(failure)?;
                    return Err(StoreError::Conflict);
                }
                bind(sqlx::query(insert!()), record)?.execute(&mut *transaction).await.map_err(failure)?;
                transaction.commit().await.map_err(failure)
            }

            async fn replace_rows(
                &self,
                old: &KeyId,
                grace_until: UnixMillis,
                new: &KeyRecord,
                asked: Asked<'_>,
            ) -> Result<(), StoreError> {
                let mut transaction = self.begin(&new.tenant, asked).await?;
                let replaced = sqlx::query(
                    "UPDATE keys SET rotated_to = $1, rotated_at = $2, grace_until = $3 \
                     WHERE id = $4 AND version = $5 AND revoked_at IS NULL AND rotated_to IS NULL",
                )
                .bind(new.id.as_str().to_owned())
                .bind(time(new.created_at))
                .bind(time(grace_until))
                .bind(old.as_str().to_owned())
                .bind(time(new.version))
                .execute(&mut *transaction)
                .await
                .map_err(failure)?;
                if replaced.rows_affected() != 1 {
                    return Err(StoreError::Conflict);
                }
                Self::add(&mut transaction, new, asked.once).await?;
                transaction.commit().await.map_err(failure)
            }

            async fn update_rows(&self, record: &KeyRecord, asked: Asked<'_>) -> Result<(), StoreError> {
                let mut transaction = self.begin(&record.tenant, asked).await?;
                let query = sqlx::query(
                    "UPDATE keys SET name = $1, scopes = $2, limits = $3, addresses = $4, not_before = $5, \
                     expires_at = $6, version = $7 WHERE family = $8 AND version = $7 - 1",
                );
                let done = bind_terms(query, record)?.execute(&mut *transaction).await.map_err(failure)?;
                transaction.commit().await.map_err(failure)?;
                if done.rows_affected() > 0 { Ok(()) } else { Err(StoreError::Conflict) }
            }

            async fn rehash_row(&self, rehash: Rehash<'_>) -> Result<bool, StoreError> {
                let query = sqlx::query("UPDATE keys SET hash = $1, pepper_kid = $2 WHERE id = $3 AND hash = $4")
                    .bind(rehash.to.to_string())
                    .bind(rehash.pepper_kid.to_string())
                    .bind(rehash.id.as_str().to_owned())
                    .bind(rehash.from.to_string());
                query.execute(self.pool()?).await.map(|done| done.rows_affected() > 0).map_err(failure)
            }

            async fn revoke_rows(&self, target: &Revoke, at: UnixMillis) -> Result<Vec<KeyId>, StoreError> {
                // A tenant that is revoked already has no keys left to revoke.
                let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                let (lock, sql, name) = match target {
                    Revoke::Key(id) => (
                        concat!("SELECT 1 FROM tenants WHERE id = (SELECT tenant FROM keys WHERE id = $1)", $lock),
                        "UPDATE keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL RETURNING id",
                        id.as_str(),
                    ),
                    Revoke::Family(family) => (
                        concat!("SELECT 1 FROM tenants WHERE id = (SELECT tenant FROM keys WHERE id = $1)", $lock),
                        "UPDATE keys SET revoked_at = $1 WHERE family = $2 AND revoked_at IS NULL RETURNING id",
                        family.as_str(),
                    ),
                    Revoke::Tenant(tenant) => (
                        concat!("SELECT 1 FROM tenants WHERE id = $1", $lock),
                        "UPDATE keys SET revoked_at = $1 WHERE tenant = $2 AND revoked_at IS NULL RETURNING id",
                        tenant.as_str(),
                    ),
                };
                let lock = sqlx::query(lock).bind(name.to_owned());
                lock.fetch_optional(&mut *transaction).await.map_err(failure)?;
                if let Revoke::Tenant(tenant) = target {
                    let sql = "UPDATE tenants SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
                    let query = sqlx::query(sql).bind(time(at)).bind(tenant.to_string());
                    query.execute(&mut *transaction).await.map_err(failure)?;
                }
                let query = sqlx::query_scalar(sql).bind(time(at)).bind(name.to_owned());
                let revoked: Vec<String> = query.fetch_all(&mut *transaction).await.map_err(failure)?;
                transaction.commit().await.map_err(failure)?;
                revoked.iter().map(|id| id.parse().map_err(|_| StoreError::Corrupt)).collect()
            }

            async fn list_rows(
                &self,
                tenant: Option<&Tenant>,
                after: Option<&KeyId>,
                limit: usize,
            ) -> Result<Vec<KeyRecord>, StoreError> {
                let sql = concat!(
                    "SELECT * FROM keys WHERE id",
                    $by_bytes,
                    " > $1 AND ($3 = '' OR tenant = $3) ",
                    "ORDER BY id",
                    $by_bytes,
                    " LIMIT $2"
                );
                let rows = sqlx::query(sql)
                    .bind(after.map(KeyId::as_str).unwrap_or_default().to_owned())
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .bind(tenant.map(Tenant::as_str).unwrap_or_default().to_owned())
                    .fetch_all(self.pool()?)
                    .await
                    .map_err(failure)?;
                rows.iter().map(read).collect()
            }

            async fn ending_rows(
                &self,
                within: Range<UnixMillis>,
                after: Option<&KeyId>,
                limit: usize,
            ) -> Result<Vec<KeyRecord>, StoreError> {
                let sql = concat!(
                    "SELECT * FROM keys WHERE revoked_at IS NULL AND id",
                    $by_bytes,
                    " > $3 AND ",
                    "CASE WHEN grace_until IS NULL THEN expires_at WHEN expires_at IS NULL THEN grace_until ",
                    "WHEN grace_until < expires_at THEN grace_until ELSE expires_at END BETWEEN $1 AND $2 - 1 ",
                    "ORDER BY id",
                    $by_bytes,
                    " LIMIT $4"
                );
                let query = sqlx::query(sql)
                    .bind(time(within.start))
                    .bind(time(within.end))
                    .bind(after.map(KeyId::as_str).unwrap_or_default().to_owned())
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX));
                query.fetch_all(self.pool()?).await.map_err(failure)?.iter().map(read).collect()
            }

            /// In the order of the ids, a few at once, and past what others hold: not to stand in the way of who
            /// revokes keys.
            async fn touch_rows(&self, used: &[(KeyId, UnixMillis)]) -> Result<(), StoreError> {
                let mut used = used.to_vec();
                used.sort_unstable();
                for some in used.chunks(NOTED_AT_ONCE) {
                    let mut transaction = self.pool()?.begin_with($begin).await.map_err(failure)?;
                    for (id, at) in some {
                        sqlx::query(concat!(
                            "UPDATE keys SET last_used_at = $1 WHERE id = (SELECT id FROM keys ",
                            "WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
                            $unlocked,
                            ")"
                        ))
                        .bind(time(*at))
                        .bind(id.as_str().to_owned())
                        .execute(&mut *transaction)
                        .await
                        .map_err(failure)?;
                    }
                    transaction.commit().await.map_err(failure)?;
                }
                Ok(())
            }

            async fn once_row(
                &self,
                maker: &FamilyId,
                token: &str,
                now: UnixMillis,
            ) -> Result<Option<OnceRecord>, StoreError> {
                let sql = "SELECT * FROM issued_once WHERE maker = $1 AND token = $2 AND expires_at > $3";
                let query = sqlx::query(sql).bind(maker.as_str().to_owned()).bind(token.to_owned()).bind(time(now));
                let row = query.fetch_optional(self.pool()?).await.map_err(failure)?;
                row.as_ref().map(read_once).transpose()
            }

            async fn forget_once_rows(&self, now: UnixMillis) -> Result<(), StoreError> {
                let query = sqlx::query("DELETE FROM issued_once WHERE expires_at <= $1").bind(time(now));
                query.execute(self.pool()?).await.map(drop).map_err(failure)
            }

            async fn pepper_rows(&self) -> Result<Vec<char>, StoreError> {
                let sql = "SELECT pepper_kid FROM keys WHERE revoked_at IS NULL \
                           UNION SELECT substr(id, 1, 1) FROM keys WHERE revoked_at IS NULL";
                let kids: Vec<String> = sqlx::query_scalar(sql).fetch_all(self.pool()?).await.map_err(failure)?;
                let mut kids: Vec<char> = kids.iter().flat_map(|kid| kid.chars()).collect();
                kids.sort_unstable();
                Ok(kids)
            }

            async fn insert_tenant_row(&self, tenant: &TenantRecord) -> Result<(), StoreError> {
                let query = sqlx::query("INSERT INTO tenants VALUES ($1, $2, $3, $4)")
                    .bind(tenant.id.to_string())
                    .bind(tenant.title.clone())
                    .bind(time(tenant.created_at))
                    .bind(tenant.revoked_at.map(time));
                query.execute(self.pool()?).await.map(drop).map_err(failure)
            }

            async fn find_tenant_row(&self, id: &Tenant) -> Result<Option<TenantRecord>, StoreError> {
                let query = sqlx::query("SELECT * FROM tenants WHERE id = $1").bind(id.to_string());
                let row = query.fetch_optional(self.pool()?).await.map_err(failure)?;
                row.as_ref().map(read_tenant).transpose()
            }

            async fn list_tenant_rows(
                &self,
                after: Option<&Tenant>,
                limit: usize,
            ) -> Result<Vec<TenantRecord>, StoreError> {
                let sql =
                    concat!("SELECT * FROM tenants WHERE id", $by_bytes, " > $1 ORDER BY id", $by_bytes, " LIMIT $2");
                let query = sqlx::query(sql).bind(after.map(Tenant::as_str).unwrap_or_default().to_owned());
                let query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
                query.fetch_all(self.pool()?).await.map_err(failure)?.iter().map(read_tenant).collect()
            }
        }

        crate::rows::key_store!($store);
    };
}

/// The seam over the statements.
macro_rules! key_store {
    ($store:ty) => {
        impl KeyStore for $store {
            fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>> {
                Box::pin(self.find_row(id))
            }

            fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
                Box::pin(self.insert_row(record, asked))
            }

            fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()> {
                Box::pin(self.insert_first(record, now))
            }

            fn replace<'a>(
                &'a self,
                old: &'a KeyId,
                grace_until: UnixMillis,
                new: &'a KeyRecord,
                asked: Asked<'a>,
            ) -> Stored<'a, ()> {
                Box::pin(self.replace_rows(old, grace_until, new, asked))
            }

            fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
                Box::pin(self.update_rows(record, asked))
            }

            fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool> {
                Box::pin(self.rehash_row(rehash))
            }

            fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>> {
                Box::pin(self.revoke_rows(target, at))
            }

            fn list<'a>(
                &'a self,
                tenant: Option<&'a Tenant>,
                after: Option<&'a KeyId>,
                limit: usize,
            ) -> Stored<'a, Vec<KeyRecord>> {
                Box::pin(self.list_rows(tenant, after, limit))
            }

            fn ending<'a>(
                &'a self,
                within: Range<UnixMillis>,
                after: Option<&'a KeyId>,
                limit: usize,
            ) -> Stored<'a, Vec<KeyRecord>> {
                Box::pin(self.ending_rows(within, after, limit))
            }

            fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()> {
                Box::pin(self.touch_rows(used))
            }

            fn find_once<'a>(
                &'a self,
                maker: &'a FamilyId,
                token: &'a str,
                now: UnixMillis,
            ) -> Stored<'a, Option<OnceRecord>> {
                Box::pin(self.once_row(maker, token, now))
            }

            fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()> {
                Box::pin(self.forget_once_rows(now))
            }

            fn peppers(&self) -> Stored<'_, Vec<char>> {
                Box::pin(self.pepper_rows())
            }

            fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()> {
                Box::pin(self.insert_tenant_row(tenant))
            }

            fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>> {
                Box::pin(self.find_tenant_row(id))
            }

            fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>> {
                Box::pin(self.list_tenant_rows(after, limit))
            }
        }
    };
}

pub(crate) use {insert, key_rows, key_store};
