//! A key record as columns, and back. What cannot be read back is corrupt, never a default.

use keys::{KeyId, KeyRecord, Scopes, StoreError, UnixMillis};
use sqlx::query::Query;
use sqlx::{ColumnIndex, Database, Decode, Encode, Row, Type, ValueRef};

type Insert<D> = Query<'static, D, <D as Database>::Arguments>;

/// Binds the columns in the order of the table.
pub(crate) fn bind<D: Database>(query: Insert<D>, record: &KeyRecord) -> Result<Insert<D>, StoreError>
where
    String: for<'q> Encode<'q, D> + Type<D>,
    i64: for<'q> Encode<'q, D> + Type<D>,
    Option<String>: for<'q> Encode<'q, D> + Type<D>,
    Option<i64>: for<'q> Encode<'q, D> + Type<D>,
{
    let json = |value: Result<String, serde_json::Error>| value.map_err(|_| StoreError::Corrupt);
    let kind = if matches!(record.scopes, Scopes::Admin(_)) { "admin" } else { "inference" };
    Ok(query
        .bind(record.id.as_str().to_owned())
        .bind(record.family.as_str().to_owned())
        .bind(record.tenant.to_string())
        .bind(record.name.clone())
        .bind(record.hash.to_string())
        .bind(record.pepper_kid.to_string())
        .bind(kind.to_owned())
        .bind(json(serde_json::to_string(&record.scopes))?)
        .bind(json(serde_json::to_string(&record.limits))?)
        .bind(time(record.created_at))
        .bind(record.not_before.map(time))
        .bind(record.expires_at.map(time))
        .bind(record.rotated_to.map(|id| id.as_str().to_owned()))
        .bind(record.grace_until.map(time))
        .bind(record.revoked_at.map(time))
        .bind(record.last_used_at.map(time)))
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
    let mut record = KeyRecord::new(id, text(row, "name")?, hash, scopes, millis(row, "created_at")??);
    record.family = text(row, "family")?.parse().ok()?;
    record.tenant = text(row, "tenant")?.parse().ok()?;
    record.pepper_kid = text(row, "pepper_kid")?.parse().ok()?;
    record.limits = serde_json::from_str(&text(row, "limits")?).ok()?;
    record.not_before = millis(row, "not_before")?;
    record.expires_at = millis(row, "expires_at")?;
    record.grace_until = millis(row, "grace_until")?;
    record.revoked_at = millis(row, "revoked_at")?;
    record.last_used_at = millis(row, "last_used_at")?;
    record.rotated_to = match row.try_get::<Option<String>, _>("rotated_to").ok()? {
        Some(id) => Some(id.parse().ok()?),
        None => None,
    };
    Some(record)
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
