create schema auth;
create table auth.users (id uuid primary key, email text not null);
create schema billing;
create table billing.plans (code text primary key, price numeric not null);
create table profiles (id uuid primary key references auth.users, name text,
    plan text references billing.plans, updated_at timestamptz not null default now());
create table folders (id uuid primary key, parent uuid references folders, name text,
    updated_at timestamptz not null default now());
create table tracks (list int, pos int, id int primary key,
    updated_at timestamptz not null default now(), unique (list, pos));
create function touch() returns trigger language plpgsql as
    $$ begin new.updated_at := now(); return new; end $$;
create trigger touch before update on profiles for each row execute function touch();
create trigger touch before update on folders for each row execute function touch();
create trigger touch before update on tracks for each row execute function touch();
