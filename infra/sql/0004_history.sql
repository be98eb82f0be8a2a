-- What a run was, and not only why it began; what it cost; and how large the database was.
--
-- People and their scripts query this table by hand, and go on to do so. What they are known to name:
--   columns   sync_type, sync_status, last_sync_timestamp, records_synced, created_at, and in some
--             scripts error_message, started_at, completed_at, updated_at, duration_ms
--   values    sync_type 'incremental'; sync_status 'running', 'success', 'failed'
-- So `sync_type` is what a run does ('incremental', 'repair', 'csv'), `trigger` says why it began, and the
-- other names are columns that follow from ours. `last_sync_timestamp` is the last success as of the
-- row: it is carried on from row to row, or `order by last_sync_timestamp desc limit 1` would find
-- a failure, since null comes first there.

alter table sync_metadata
    add column trigger text,
    add column api_calls bigint not null default 0,
    add column database_bytes bigint,
    add column error_message text generated always as (error) stored,
    add column started_at timestamptz generated always as (created_at) stored,
    add column completed_at timestamptz generated always as (ended_at) stored,
    add column updated_at timestamptz generated always as (coalesce(ended_at, created_at)) stored,
    add column duration_ms bigint
        generated always as ((extract(epoch from ended_at - created_at) * 1000)::bigint) stored;

update sync_metadata set trigger = sync_type, sync_type = 'incremental' where true;

update sync_metadata as m set last_sync_timestamp = (
    select max(s.last_sync_timestamp) from sync_metadata as s
    where s.pipeline = m.pipeline and s.id < m.id
) where last_sync_timestamp is null;

comment on column sync_metadata.database_bytes is
    'Syncline: the size of the database at the end of a successful run, once an hour at most';
create index sync_metadata_size on sync_metadata (pipeline, created_at) where database_bytes is not null;
