-- The rows that the official clients read.
insert into authors values (1, 'Ann'), (2, 'Bob');
insert into books (id, title, author_id, price, tags, facts)
    select n, title, case when n < 3 then 1 end, n - 0.5,
        case when n > 1 then array['a', 'b,c'] end, jsonb_build_object('n', n - 1)
    from unnest(array['One', 'Two, too (2)', 'Three', 'Four']) with ordinality as titles (title, n);
