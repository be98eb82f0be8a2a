//! Values of every type that a server brings along, each as SQL writes it: the ends of its range,
//! what has no number, what is empty, and what a text form would have to quote.

/// A type, as `format_type` prints it, and values of it.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The declaration of a column; the bare name may mean a length of 1.
    pub declared: &'static str,
    /// The first release that has the type with these values.
    pub since: u32,
    /// Expressions, each cast to the type.
    pub values: &'static [&'static str],
}

/// Returns the types that a release has.
pub fn kinds(release: u32) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(move |kind| kind.since <= release)
}

const OLDEST: u32 = 13;

const fn kind(name: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { name, declared: name, since: OLDEST, values }
}

const fn since(since: u32, name: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { name, declared: name, since, values }
}

const fn sized(
    name: &'static str,
    declared: &'static str,
    values: &'static [&'static str],
) -> Kind {
    Kind { name, declared, since: OLDEST, values }
}

/// Types that no client can give a value of, and why.
pub const CANNOT_BE_WRITTEN: [(&str, &str); 7] = [
    ("pg_node_tree", "its input function refuses every text"),
    ("pg_ndistinct", "its input function refuses every text"),
    ("pg_dependencies", "its input function refuses every text"),
    ("pg_mcv_list", "its input function refuses every text"),
    ("pg_brin_bloom_summary", "its input function refuses every text"),
    ("pg_brin_minmax_multi_summary", "its input function refuses every text"),
    ("gtsvector", "its input function refuses every text"),
];

/// Every other type.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    kind("boolean", &["true", "false"]),
    kind("bytea", &[r"'\x'", r"'\x00'", r"'\x5c4e0a09'",
        "(select decode(string_agg(lpad(to_hex(i), 2, '0'), ''), 'hex') from generate_series(0, 255) i)"]),
    kind("\"char\"", &["'a'", "''", r"'\'", "' '", "','"]),
    kind("name", &["''", "'n'", "repeat('n', 63)", "'Ünï \"q\" , {}'"]),
    kind("bigint", &["'-9223372036854775808'", "9223372036854775807", "0"]),
    kind("smallint", &["'-32768'", "32767", "0"]),
    kind("int2vector", &["''", "'1 -2 32767'"]),
    kind("integer", &["'-2147483648'", "2147483647", "0"]),
    kind("oidvector", &["''", "'0 4294967295'"]),
    kind("text", &["''", "' '", r"E'\\N'", r"E'\\.'", "'NULL'", r"E'\t\n\r\b\f\013\\'", r"E'\001\177'", "'é'",
        r"U&'e\0301'", r"U&'\+01F600'", "'it''s \"q\" {a,b} (c)'", r"E'\\x41'", "repeat('xé', 50000)"]),
    kind("oid", &["0", "4294967295"]),
    kind("tid", &["'(0,0)'", "'(4294967295,65535)'"]),
    kind("xid", &["'0'", "'4294967295'"]),
    kind("cid", &["'0'", "'4294967295'"]),
    kind("xid8", &["'0'", "'18446744073709551615'"]),
    kind("json", &["'{\"a\":  1, \"a\": 2}'", "' null '", r#"'"\u0000\n"'"#, "'[1.0, 1.00, 1e400, -0]'", "'{}'"]),
    kind("jsonb", &["'{\"b\": 1.00, \"a\": null}'", "'null'", "'[]'", "'1e400'", "'-0.0'", r#"'"\ud83d\ude00\n"'"#]),
    kind("jsonpath", &[r#"'$."a b"[*] ? (@ > 1.0)'"#, "'strict $'", r#"'$ ? (@ like_regex "a\\d" flag "i")'"#]),
    kind("xml", &["''", "'<a b=\"c\">x</a>text'", "'<?xml version=\"1.0\" standalone=\"yes\"?><a>é</a>'",
        "'<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a>é</a>'", "' '"]),
    kind("point", &["'(0,-0)'", "'(1e300,4.9e-324)'", "'(NaN,-Infinity)'", "'(0.1,0.2)'"]),
    kind("lseg", &["'[(0,0),(0.1,-1)]'"]),
    kind("path", &["'[(0,0),(1,1)]'", "'((0,0),(1,1),(0.1,3))'"]),
    kind("box", &["'(1,1),(0,0)'", "'(0.5,2),(0,0)'"]),
    kind("polygon", &["'((0,0),(1,1),(0.1,3))'", "'((1,1))'"]),
    kind("line", &["'{1,-1,0.1}'"]),
    kind("circle", &["'<(0,0),0>'", "'<(0.1,2),Infinity>'"]),
    kind("cidr", &["'10.0.0.0/8'", "'::/0'", "'::ffff:1.2.3.0/120'"]),
    kind("inet", &["'10.0.0.1/8'", "'10.0.0.1'", "'::1'", "'fe80::1/64'"]),
    kind("macaddr", &["'08:00:2b:01:02:03'", "'ff:ff:ff:ff:ff:ff'"]),
    kind("macaddr8", &["'08:00:2b:01:02:03:04:05'", "'00:00:00:00:00:00:00:00'"]),
    kind("real", &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "'1e-45'", "'3.4028235e38'", "0.1"]),
    kind("double precision", &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "'4.9e-324'",
        "'1.7976931348623157e308'", "0.1", "'0.30000000000000004'"]),
    kind("money", &["'-92233720368547758.08'", "'92233720368547758.07'", "0"]),
    kind("aclitem", &["'=r/' || quote_ident(current_user)", "quote_ident(current_user) || '=a*w/' || quote_ident(current_user)"]),
    sized("character", "character(5)", &["''", "'ab'", "'  é'", "'abcde'"]),
    kind("character varying", &["''", "'a '", "'é'", "repeat('v', 9000)"]),
    kind("date", &["'4714-11-24 BC'", "'0001-12-31 BC'", "'5874897-12-31'", "'2000-02-29'", "'infinity'", "'-infinity'"]),
    kind("time without time zone", &["'00:00'", "'24:00'", "'23:59:59.999999'"]),
    kind("timestamp without time zone", &["'4714-11-24 00:00:00 BC'", "'294276-12-31 23:59:59.999999'",
        "'2000-01-01'", "'1999-12-31 23:59:59.999999'", "'infinity'", "'-infinity'"]),
    kind("timestamp with time zone", &["'4714-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'",
        "'2026-10-25 02:30:00.000001+02'", "'infinity'", "'-infinity'"]),
    kind("interval", &["'0'", "'1 day'", "'24:00:00'", "'1 mon'", "'30 days'", "'1 mon -1 day 00:00:00.000001'",
        "'-178000000 years'", "'P1Y2M-3DT-4H5M-6.7S'", "'-1 year 1 mon'"]),
    kind("time with time zone", &["'24:00+15:59'", "'00:00-15:59'", "'12:34:56.789012+05:30:15'"]),
    sized("bit", "bit(9)", &["B'000000000'", "B'101010101'"]),
    kind("bit varying", &["B''", "B'0'", "B'1010101011'"]),
    since(14, "numeric", &["'Infinity'", "'-Infinity'"]),
    kind("numeric", &["'NaN'", "1.0", "1.00", "0", "'0.000'", "'-1e-16383'", "'1e131071'",
        "'123456789012345678901234567890.123456789'"]),
    kind("refcursor", &["''", "'my \"cursor\"'"]),
    kind("regproc", &["'now'", "0"]),
    kind("regprocedure", &["'abs(integer)'", "0"]),
    kind("regoper", &["'||/'", "0"]),
    kind("regoperator", &["'+(integer,integer)'", "'!!(none,tsquery)'"]),
    kind("regclass", &["'pg_class'", "'information_schema.tables'", "0", "4000000000"]),
    kind("regtype", &["'integer'", "'timestamp with time zone[]'", "'\"char\"'", "0"]),
    kind("regrole", &["quote_ident(current_user)", "0"]),
    kind("regnamespace", &["'public'", "'pg_catalog'"]),
    kind("regcollation", &["'\"C\"'", "'\"de-x-icu\"'"]),
    kind("regconfig", &["'english'", "'simple'"]),
    kind("regdictionary", &["'simple'", "'german_stem'"]),
    kind("uuid", &["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    kind("txid_snapshot", &["'10:20:10,14,15'", "'1:1:'"]),
    kind("pg_snapshot", &["'10:20:10,14,15'", "'1:1:'"]),
    kind("pg_lsn", &["'0/0'", "'FFFFFFFF/FFFFFFFF'"]),
    kind("tsvector", &["''", r"'''it''''s a\\b'':1A,2B,16383 c'", "'a b'"]),
    kind("tsquery", &["''", "'''a b'' & !(c | d:*AB) <2> e'"]),
    kind("int4range", &["'empty'", "'(,)'", "'[1,5)'", "'(,5)'", "'[-2147483648,)'"]),
    kind("int8range", &["'empty'", "'(,)'", "'[1,5)'"]),
    kind("numrange", &["'empty'", "'[1.0,1.00]'", "'(1.5,NaN]'"]),
    since(14, "numrange", &["'[-Infinity,)'", "'(0,Infinity)'"]),
    kind("tsrange", &["'empty'", "'[2000-01-01,infinity]'", "'(,\"2000-01-01 00:00:00.000001\")'"]),
    kind("tstzrange", &["'empty'", "'[2000-01-01 00:00+00,infinity]'", "'(-infinity,)'"]),
    kind("daterange", &["'empty'", "'[0044-03-15 BC,2000-01-01)'", "'(,infinity]'"]),
    since(14, "int4multirange", &["'{}'", "'{[1,2),[5,9)}'", "'{(,)}'"]),
    since(14, "int8multirange", &["'{}'", "'{[1,2),[5,9)}'"]),
    since(14, "nummultirange", &["'{}'", "'{[1.0,1.00],(2.5,)}'"]),
    since(14, "tsmultirange", &["'{}'", "'{[2000-01-01,2000-01-02),[2001-01-01,infinity)}'"]),
    since(14, "tstzmultirange", &["'{}'", "'{[2000-01-01 00:00+00,2000-01-02 00:00+00)}'"]),
    since(14, "datemultirange", &["'{}'", "'{[2000-01-01,2000-01-02),[2001-01-01,infinity)}'"]),
];
