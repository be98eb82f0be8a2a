-- The tables of the demo, the same in both databases. Every table has a key and a stamp of its last change, and an
-- index by which a reader pages through (stamp, key).

create table airlines (
    carrier text primary key check (carrier <> ''),
    name text not null,
    updated_at timestamptz not null default now()
);
create index on airlines (updated_at, carrier);

create table airports (
    faa text primary key,
    name text not null,
    lat double precision not null check (lat between -90 and 90),
    lon double precision not null check (lon between -180 and 180),
    alt integer not null, -- feet
    tz smallint not null, -- hours from UTC
    dst text not null check (dst in ('A', 'N', 'U')),
    tzone text,
    updated_at timestamptz not null default now()
);
create index on airports (updated_at, faa);

create table planes (
    tailnum text primary key,
    year smallint,
    type text not null,
    manufacturer text not null,
    model text not null,
    engines smallint not null check (engines > 0),
    seats smallint not null,
    speed smallint,
    engine text not null,
    updated_at timestamptz not null default now()
);
create index on planes (updated_at, tailnum);

create table weather (
    origin text references airports,
    year smallint not null,
    month smallint not null,
    day smallint not null,
    hour smallint not null,
    temp numeric(5, 2),
    dewp numeric(5, 2),
    humid numeric(5, 2) check (humid between 0 and 100),
    wind_dir smallint check (wind_dir between 0 and 360),
    wind_speed double precision,
    wind_gust double precision,
    precip numeric(4, 2) not null,
    pressure numeric(5, 1),
    visib real not null,
    time_hour timestamptz,
    updated_at timestamptz not null default now(),
    primary key (origin, time_hour)
);
create index on weather (updated_at, origin, time_hour);

-- `tailnum` and `dest` reference nothing: the real data names planes that `planes` does not have, and four airports
-- that `airports` does not have. Times of day are local, as 1504 for four past three; a cancelled flight has none.
create table flights (
    year smallint not null,
    month smallint not null,
    day smallint not null,
    dep_time smallint,
    sched_dep_time smallint not null,
    dep_delay smallint, -- minutes
    arr_time smallint,
    sched_arr_time smallint not null,
    arr_delay smallint,
    carrier text references airlines,
    flight integer,
    tailnum text,
    origin text not null references airports,
    dest text not null,
    air_time smallint,
    distance smallint not null check (distance > 0), -- miles
    hour smallint not null check (hour between 0 and 23),
    minute smallint not null check (minute between 0 and 59),
    time_hour timestamptz, -- the hour of the scheduled departure
    updated_at timestamptz not null default now(),
    primary key (time_hour, carrier, flight)
);
create index on flights (updated_at, time_hour, carrier, flight);
