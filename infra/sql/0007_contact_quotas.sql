-- What programs may do in a time, counted for all of them together: calls of MailerLite, errors,
-- people in a day. An entry counts until its window has passed; entries of one moment are one.
create table token_bucket_state (
    bucket   text primary key,
    taken_at timestamptz[] not null default '{}',
    taken    bigint[] not null default '{}'
);

-- People, by address, whom one program syncs at the moment. Sessions of a pooler hold no lock.
create table contact_leases (
    name       text primary key,
    holder     text not null,
    expires_at timestamptz not null
);

alter table token_bucket_state enable row level security;
alter table contact_leases enable row level security;
do $$
declare
    api_role name;
begin
    for api_role in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated') loop
        execute pg_catalog.format('revoke all on token_bucket_state, contact_leases from %I', api_role);
    end loop;
end
$$;
