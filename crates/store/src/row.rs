//! A key record as columns, and back. What cannot be read back is corrupt, never a default.

use keys::{KeyId, KeyRecord, OnceRecord, Scopes, StoreError, TenantRecord, Terms, UnixMillis};
use sqlx::query::Query;
use sqlx::{ColumnIndex, Database, Decode, Encode, Row, Type, ValueRef};

pub(crate) type Statement<D> = Query<'static, D, <D as Database>::Arguments>;

/// Binds the columns in the order of the statement that inserts a key.
pub(crate) fn bind<D: Database>(query: Statement<D>, record: &KeyRecord) -> Result<Statement<D>, StoreError>
where
    String: for<'q> Encode<'q, D> + Type<D>,
    i64: for<'q> Encode<'q, D> + Type<D>,
    Option<String>: for<'q> Encode<'q, D> + Type<D>,
    Option<i64>: for<'q> Encode<'q, D> + Type<D>,
{
    let json = |value: Result<String, serde_json::Error>| value.map_err(|_| StoreError::Corrupt);
    let terms = &record.terms;
    let kind = if matches!(terms.scopes, Scopes::Admin(_)) { "admin" } else { "inference" };
    Ok(query
        .bind(record.id.as_str().to_owned())
        .bind(record.family.as_str().to_owned())
        .bind(record.tenant.to_string())
        .bind(record.name.clone())
        .bind(record.hash.to_string())
        .bind(record.pepper_kid.to_string())
        .bind(kind.to_owned())
        .bind(json(serde_json::to_string(&terms.scopes))?)
        .bind(json(serde_json::to_string(&terms.limits))?)
        .bind(time(record.created_at))
        .bind(terms.not_before.map(time))
        .bind(terms.expires_at.map(time))
        .bind(record.rotated_to.map(|id| id.as_str().to_owned()))
        .bind(record.grace_until.map(time))
        .bind(record.revoked_at.map(time))
        .bind(record.last_used_at.map(time))
        .bind(record.made_by.map(|family| family.as_str().to_owned()))
        .bind(json(serde_json::to_string(&terms.addresses))?)
        .bind(time(record.version))
        .bind(record.rotated_at.map(time)))
}

/// Binds what the statement that changes a family takes.
pub(crate) fn bind_terms<D: Database>(query: Statement<D>, record: &KeyRecord) -> Result<Statement<D>, StoreError>
where
    String: for<'q> Encode<'q, D> + Type<D>,
    i64: for<'q> Encode<'q, D> + Type<D>,
    Option<i64>: for<'q> Encode<'q, D> + Type<D>,
{
    let json = |value: Result<String, serde_json::Error>| value.map_err(|_| StoreError::Corrupt);
    let terms = &record.terms;
    Ok(query
        .bind(record.name.clone())
        .bind(json(serde_json::to_string(&terms.scopes))?)
        .bind(json(serde_json::to_string(&terms.limits))?)
        .bind(json(serde_json::to_string(&terms.addresses))?)
        .bind(terms.not_before.map(time))
        .bind(terms.expires_at.map(time))
        .bind(time(record.version))
        .bind(record.family.as_str().to_owned()))
}

/// A time as the database has it. Beyond 292 million years all times are the same.
pub(crate) fn time(at: UnixMillis) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

pub(crate) fn read<R>(row: &R) -> Result<KeyRecord, StoreError>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    columns(row).ok_or_else(|| {
        let id = row.try_get::<String, _>("id").ok().and_then(|id| id.parse::<KeyId>().ok());
        tracing::error!(key = ?id, "unreadable row in the key store");
        StoreError::Corrupt
    })
}

fn columns<R>(row: &R) -> Option<KeyRecord>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let scopes: Scopes = serde_json::from_str(&text(row, "scopes")?).ok()?;
    let is_admin = matches!(scopes, Scopes::Admin(_));
    if text(row, "kind")? != if is_admin { "admin" } else { "inference" } {
        return None;
    }
    let (id, hash) = (text(row, "id")?.parse().ok()?, text(row, "hash")?.parse().ok()?);
    let mut terms = Terms::new(scopes);
    terms.limits = serde_json::from_str(&text(row, "limits")?).ok()?;
    terms.addresses = serde_json::from_str(&text(row, "addresses")?).ok()?;
    terms.not_before = millis(row, "not_before")?;
    terms.expires_at = millis(row, "expires_at")?;
    let mut record = KeyRecord::new(id, text(row, "name")?, hash, terms, millis(row, "created_at")??);
    record.family = text(row, "family")?.parse().ok()?;
    record.tenant = text(row, "tenant")?.parse().ok()?;
    record.pepper_kid = text(row, "pepper_kid")?.parse().ok()?;
    record.version = millis(row, "version")??;
    record.rotated_at = millis(row, "rotated_at")?;
    record.grace_until = millis(row, "grace_until")?;
    record.revoked_at = millis(row, "revoked_at")?;
    record.last_used_at = millis(row, "last_used_at")?;
    record.rotated_to = id_or_none(row, "rotated_to")?;
    record.made_by = id_or_none(row, "made_by")?.map(Into::into);
    Some(record)
}

pub(crate) fn read_tenant<R>(row: &R) -> Result<TenantRecord, StoreError>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let columns = || {
        let id = text(row, "id")?.parse().ok()?;
        let mut tenant = TenantRecord::new(id, text(row, "title")?, millis(row, "created_at")??);
        tenant.revoked_at = millis(row, "revoked_at")?;
        Some(tenant)
    };
    columns().ok_or(StoreError::Corrupt)
}

pub(crate) fn read_once<R>(row: &R) -> Result<OnceRecord, StoreError>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let columns = || {
        let digest = |column| digest(&text(row, column)?);
        let maker = text(row, "maker")?.parse().ok()?;
        let asked = (text(row, "token")?, digest("request")?);
        let key_id = text(row, "key_id")?.parse().ok()?;
        Some(OnceRecord::new(maker, asked, digest("nonce")?, key_id, millis(row, "expires_at")??))
    };
    columns().ok_or(StoreError::Corrupt)
}

/// 32 bytes as the database has them.
pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let pairs: Option<Vec<u8>> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect();
    if hex.len() == 64 { pairs?.try_into().ok() } else { None }
}

/// `None` if it is no id, `Some(None)` if it is null.
fn id_or_none<R>(row: &R, column: &'static str) -> Option<Option<KeyId>>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    match row.try_get::<Option<String>, _>(column).ok()? {
        Some(id) => id.parse().ok().map(Some),
        None => Some(None),
    }
}

fn text<R>(row: &R, column: &'static str) -> Option<String>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(column).ok()
}

/// `None` if it is no time, `Some(None)` if it is null.
fn millis<R>(row: &R, column: &'static str) -> Option<Option<UnixMillis>>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    if row.try_get_raw(column).ok()?.is_null() {
        return Some(None);
    }
    row.try_get::<i64, _>(column).ok()?.try_into().ok().map(Some)
}
