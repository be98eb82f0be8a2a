-- The clients of a business, in a project that is reached over its API.
create table clients (
    id uuid primary key default gen_random_uuid(),
    email text not null,
    first_name text,
    city text,
    email_status text
);
insert into clients (email, first_name, city) values ('ann@example.com', 'Ann', 'Ulm'), ('bob@example.com', 'Bob', 'Bonn');
