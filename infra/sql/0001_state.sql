-- What Syncline remembers, in the target beside the rows it stands for. The schema is the
-- search_path's first; it is set before this file runs.

create table sync_state (
    key text primary key,
    value jsonb not null,
    updated_at timestamptz not null default now()
);
comment on table sync_state is 'Syncline: leases, checkpoints and other state, one row a key';

create table sync_metadata (
    id bigint generated always as identity primary key,
    run_id text not null unique,
    pipeline text not null,
    sync_type text not null,
    sync_status text not null check (sync_status in ('running', 'success', 'partial', 'failed', 'interrupted')),
    last_sync_timestamp timestamptz,
    records_synced bigint not null default 0,
    tables jsonb not null default '{}',
    error text,
    created_at timestamptz not null default now()
);
comment on table sync_metadata is 'Syncline: the history, one row a run';
create index sync_metadata_created_at on sync_metadata (pipeline, created_at desc);

-- Supabase grants new tables of schema public to its API roles by default; our state is nobody's
-- to read or write over the API.
alter table sync_state enable row level security;
alter table sync_metadata enable row level security;
do $$
declare
    api_role name;
begin
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
        execute pg_catalog.format('revoke all on sync_state, sync_metadata from %I', api_role);
    end loop;
end
$$;
