-- A day's work in a database that is in use: corrections to rows that exist, and rows that are new. Every statement
-- begins with the table and what happens to its rows, and can be run again: then the next day's flights are inserted.

-- airlines: inserted
insert into airlines (carrier, name) values ('ZX', 'Example Air Lines') on conflict do nothing;

-- airports: inserted
insert into airports (faa, name, lat, lon, alt, tz, dst, tzone)
values ('ZZX', 'Example Field', 40.5, -74.5, 120, -5, 'A', 'America/New_York')
on conflict do nothing;

-- planes: updated
update planes set seats = seats + 2, updated_at = now() where model = 'A320-214';

-- weather: updated
update weather set pressure = 1013.2, updated_at = now() where month = 1 and pressure is null;

-- flights: updated
update flights set arr_delay = arr_delay + 1, updated_at = now()
where carrier = 'UA' and day = 15 and arr_delay is not null;

-- flights: inserted
insert into flights (
    year, month, day, sched_dep_time, sched_arr_time, carrier, flight, tailnum, origin, dest, distance, hour, minute,
    time_hour
)
select
    extract(year from departure), extract(month from departure), extract(day from departure),
    extract(hour from departure) * 100 + 30, (extract(hour from departure)::int + 1) % 24 * 100 + 45,
    'ZX', number, 'N' || number || 'ZX', origin, dest, 210, extract(hour from departure), 30,
    departure at time zone 'America/New_York'
from (
    select
        number,
        (array['JFK', 'ZZX'])[1 + number % 2] as origin,
        (array['ZZX', 'JFK'])[1 + number % 2] as dest,
        last.hour at time zone 'America/New_York' + number * interval '30 minutes' - number % 2 * interval '30 minutes'
            + interval '1 hour' as departure
    from (select date_trunc('hour', max(time_hour)) as hour from flights) as last, generate_series(1, 40) as number
) as planned;
