//! `pipe:host/sql`.

use std::sync::Arc;

use pipe_capability::sql::Access;
use pipe_effects::sql::{Dialect, SqlConnection, SqlRows, SqlValue};
use wasmtime::component::Resource;

use super::{HostResult, told};
use crate::{bindings::host::pipe::host::sql as wit, state::State};

/// A guest's handle to a connection.
pub struct Connection(SqlConnection);

impl wit::Host for State {
    async fn open(&mut self, peer: String, access: wit::Access) -> HostResult<Resource<Connection>> {
        let access = match access {
            wit::Access::Read => Access::Read,
            wit::Access::Write => Access::Write,
        };
        let session = Arc::clone(&self.session);
        match session.sql_open(&peer, access).await {
            Ok(connection) => Ok(Ok(self.table.push(Connection(connection))?)),
            Err(error) => told(Err(error)),
        }
    }
}

impl wit::HostConnection for State {
    fn dialect(&mut self, connection: Resource<Connection>) -> wasmtime::Result<wit::Dialect> {
        Ok(match self.table.get(&connection)?.0.dialect() {
            Dialect::Postgresql => wit::Dialect::Postgresql,
            Dialect::Sqlite => wit::Dialect::Sqlite,
        })
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<wit::Value>,
    ) -> HostResult<wit::Rows> {
        let parameters = parameters.into_iter().map(SqlValue::from).collect();
        let rows = self.table.get_mut(&connection)?.0.query(&statement, parameters).await;
        told(rows.map(wit::Rows::from))
    }

    async fn script(&mut self, connection: Resource<Connection>, text: String) -> HostResult<()> {
        told(self.table.get_mut(&connection)?.0.script(&text).await.map(|_| ()))
    }

    async fn begin(&mut self, connection: Resource<Connection>) -> HostResult<()> {
        told(self.table.get_mut(&connection)?.0.begin().await)
    }

    async fn commit(&mut self, connection: Resource<Connection>) -> HostResult<()> {
        told(self.table.get_mut(&connection)?.0.commit().await)
    }

    async fn rollback(&mut self, connection: Resource<Connection>) -> HostResult<()> {
        told(self.table.get_mut(&connection)?.0.rollback().await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl From<wit::Value> for SqlValue {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Null => Self::Null,
            wit::Value::Boolean(value) => Self::Boolean(value),
            wit::Value::Integer(value) => Self::Integer(value),
            wit::Value::Float(value) => Self::Float(value),
            wit::Value::Text(value) => Self::Text(value),
            wit::Value::Bytes(value) => Self::Bytes(value),
        }
    }
}

impl From<SqlValue> for wit::Value {
    fn from(value: SqlValue) -> Self {
        match value {
            SqlValue::Null => Self::Null,
            SqlValue::Boolean(value) => Self::Boolean(value),
            SqlValue::Integer(value) => Self::Integer(value),
            SqlValue::Float(value) => Self::Float(value),
            SqlValue::Text(value) => Self::Text(value),
            SqlValue::Bytes(value) => Self::Bytes(value),
        }
    }
}

impl From<SqlRows> for wit::Rows {
    fn from(rows: SqlRows) -> Self {
        Self {
            columns: rows.columns,
            rows: rows.rows.into_iter().map(|row| row.into_iter().map(wit::Value::from).collect()).collect(),
            affected: rows.affected,
        }
    }
}
