-- Full syncs: their sessions, and the spool that holds a copy until all of it is applied.
--
-- A session is no lock. Whoever works at it holds a lease until `lease_until`; a session that is
-- said to be running after that time was interrupted, and can be resumed by anybody.

create table full_sync_sessions (
    session_id           text primary key,
    peer                 text not null,
    role                 text not null,
    direction            text not null,
    method               text not null,
    phase                text not null,
    status               text not null,
    options              jsonb not null,
    bytes_done           bigint not null default 0,
    bytes_total          bigint not null default 0,
    rows_done            bigint not null default 0,
    rows_total           bigint not null default 0,
    -- Bytes in a second, as of the last record.
    transfer_speed       bigint not null default 0,
    progress             numeric generated always as (
        case when bytes_total > 0 then round(100.0 * bytes_done / bytes_total, 1) end) stored,
    estimated_completion timestamptz,
    -- The milliseconds of work that each phase took, and since when the present one is worked at.
    phase_millis         jsonb not null default '{}',
    phase_since          timestamptz,
    error_code           text,
    error_message        text,
    error_hint           text,
    -- The counts of each table, and the rows that were refused.
    report               jsonb,
    lease_holder         text,
    lease_until          timestamptz,
    export_id            text,
    -- The exports before it: what of them comes late is not taken.
    past_exports         text[] not null default '{}',
    manifest_sha         text,
    manifest             text,
    -- How far a session is that goes record by record; on the side that answers, its last answer.
    position             jsonb,
    -- The last state that people were notified of: failed or completed.
    notified             text,
    started_at           timestamptz not null default clock_timestamp(),
    updated_at           timestamptz not null default clock_timestamp(),
    completed_at         timestamptz
);

create index full_sync_sessions_started on full_sync_sessions (started_at);

-- Compressed already, so that trying it again would cost time alone. Without a log of writes: after
-- a crash the parts are gone, and are sent again.
create unlogged table full_sync_parts (
    session_id text not null,
    export_id  text not null,
    part       integer not null,
    sha        text not null,
    bytes      bytea not null,
    primary key (session_id, part)
);

alter table full_sync_parts alter column bytes set storage external;

-- The nonces of signed calls, for as long as a signature is accepted.
create unlogged table sync_nonces (
    nonce   text primary key,
    seen_at timestamptz not null default clock_timestamp()
);

-- The parts are whole tables: Supabase's API roles, to which it grants every table of `public`, must not read them.
alter table full_sync_sessions enable row level security;
alter table full_sync_parts enable row level security;
alter table sync_nonces enable row level security;
do $$
declare
    api_role name;
begin
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
        execute pg_catalog.format(
            'revoke all on full_sync_sessions, full_sync_parts, sync_nonces from %I', api_role);
    end loop;
end
$$;
