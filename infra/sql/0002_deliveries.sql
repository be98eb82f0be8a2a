-- Which message of the queue asked for a run, and where in a chain of slices it stands. Chain and
-- slice together name a piece of work: a message that comes again is told of the run that did it.
-- A message that the queue gave up has a row too, of status `lost`.

alter table sync_metadata
    add column message_id text,
    add column retried integer,
    add column schedule_id text,
    add column chain text,
    add column slice integer,
    add column ended_at timestamptz,
    drop constraint sync_metadata_sync_status_check,
    add constraint sync_metadata_sync_status_check
        check (sync_status in ('running', 'success', 'partial', 'failed', 'interrupted', 'lost'));

create index sync_metadata_chain on sync_metadata (pipeline, chain, slice) where chain is not null;
