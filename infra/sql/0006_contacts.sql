-- Contacts that are kept in step with MailerLite: who is who, what both sides agreed on last, the
-- questions that a person must answer, and what was done.
--
-- An older system may have a crosswalk and a log of its own. They are left as they are, and the
-- program says so if a column is missing that it needs.

do $$
begin
    if pg_catalog.to_regclass(pg_catalog.quote_ident(pg_catalog.current_schema()) || '.integration_crosswalk') is null then
        create table integration_crosswalk (
            a_id       uuid primary key,
            b_id       text not null unique,
            created_at timestamptz not null default clock_timestamp()
        );
        -- MailerLite lists subscribers by falling id, and a page of it asks for a range of them.
        create index integration_crosswalk_range on integration_crosswalk ((b_id::numeric));
        alter table integration_crosswalk enable row level security;
    end if;
    if pg_catalog.to_regclass(pg_catalog.quote_ident(pg_catalog.current_schema()) || '.sync_log') is null then
        create table sync_log (
            id         bigint generated always as identity primary key,
            run_id     text,
            a_id       uuid,
            b_id       text,
            action     text not null,
            details    jsonb not null default '{}',
            created_at timestamptz not null default clock_timestamp()
        );
        create index sync_log_a_id on sync_log (a_id, created_at);
        alter table sync_log enable row level security;
    end if;
end
$$;

-- The last state that both sides agreed on: the base of every merge.
create table contact_shadows (
    a_id      uuid primary key,
    b_id      text not null,
    agreed    jsonb not null,
    agreed_at timestamptz not null default clock_timestamp()
);

-- A person is the row's key, or `b:` and the subscriber's id where there is no row.
create table sync_conflicts (
    id          bigint generated always as identity primary key,
    person      text not null,
    a_id        uuid,
    b_id        text,
    kind        text not null,
    subject     text not null,
    base_value  text,
    a_value     text,
    b_value     text,
    status      text not null default 'open' check (status in ('open', 'resolved', 'gone')),
    resolution  text,
    created_at  timestamptz not null default clock_timestamp(),
    updated_at  timestamptz not null default clock_timestamp()
);
create unique index sync_conflicts_open on sync_conflicts (person, subject) where status = 'open';

-- People who asked to be forgotten, by a keyed hash of the address, so that nobody brings them back.
create table contact_tombstones (
    email_hash text primary key,
    erased_at  timestamptz not null default clock_timestamp()
);

alter table contact_shadows enable row level security;
alter table sync_conflicts enable row level security;
alter table contact_tombstones enable row level security;
do $$
declare
    api_role name;
begin
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
        execute pg_catalog.format(
            'revoke all on contact_shadows, sync_conflicts, contact_tombstones from %I', api_role);
    end loop;
end
$$;
