-- Cases and what hangs on them.

create extension if not exists btree_gin;

create table mahalla.civic_case (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  type text not null,
  type_version integer not null,
  -- Short name for people, unique in the tenant: 8 characters of Crockford's base 32.
  reference text not null,
  state text not null,
  phase text not null check (phase in ('open', 'closed', 'fixed')),
  data jsonb not null,
  territory_id uuid,
  -- WGS84 degrees, and the H3 cell of resolution 9 as a number.
  longitude double precision check (longitude between -180 and 180),
  latitude double precision check (latitude between -90 and 90),
  h3 bigint,
  -- Null when the report is anonymous.
  owner_id uuid,
  assignee_id uuid,
  -- A claim is a short exclusive assignment that runs out by itself.
  claimed_by uuid,
  claimed_until timestamptz,
  version integer not null default 1,
  search tsvector not null default '',
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, reference),
  foreign key (type, type_version) references mahalla.case_type (id, version),
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id),
  foreign key (tenant_id, owner_id) references mahalla.principal (tenant_id, id),
  foreign key (tenant_id, assignee_id) references mahalla.principal (tenant_id, id),
  foreign key (tenant_id, claimed_by) references mahalla.principal (tenant_id, id)
) with (fillfactor = 85);
-- Lists: newest first, by type and state, by owner, by assignee.
create index case_by_state on mahalla.civic_case (tenant_id, type, state, id desc);
create index case_by_type on mahalla.civic_case (tenant_id, type, id desc);
create index case_by_owner on mahalla.civic_case (tenant_id, owner_id, id desc) where owner_id is not null;
create index case_by_assignee on mahalla.civic_case (tenant_id, assignee_id, id desc) where assignee_id is not null;
-- With what lists of a district filter by, so that only what is shown is read from the table.
create index case_by_territory on mahalla.civic_case (tenant_id, territory_id, id desc) include (type, phase, state)
  where territory_id is not null;
-- Boxes and neighbours: float8 and bigint comparisons are leakproof, so the index works behind row-level security.
create index case_by_place on mahalla.civic_case (tenant_id, h3, id desc) where h3 is not null;
create index case_by_text on mahalla.civic_case using gin (tenant_id, search);
select mahalla.protect('mahalla.civic_case', 'select, insert, update');

-- Text search is not leakproof, so behind row-level security its index would not be used. This one audited function runs as the
-- owner, refuses any tenant but the transaction's own, and returns ids, newest first.
create function mahalla.search_cases(tenant uuid, query text, before uuid, types text[], amount integer) returns setof uuid
  language plpgsql stable security definer set search_path = pg_catalog, mahalla
  as $$
declare
  wanted tsquery := websearch_to_tsquery('simple', query);
  edge uuid := before;
  part uuid[];
  seen integer;
  lowest uuid;
  found uuid[] := '{}';
begin
  if tenant is distinct from mahalla.current_tenant() then
    raise exception 'search_cases: tenant % is not the one of this transaction', tenant using errcode = '42501';
  end if;
  -- A word of many cases is among the newest ones: no need to gather all that have it.
  foreach seen in array array[1000, 8000] loop
    select coalesce(array_agg(c.id order by c.id desc) filter (where c.search @@ wanted and (types is null or c.type = any (types))), '{}'),
        (array_agg(c.id order by c.id))[1]
      into part, lowest
      from (
        select id, search, type from mahalla.civic_case
        where tenant_id = tenant and (edge is null or id < edge) order by id desc limit seen
      ) c;
    found := found || part;
    if cardinality(found) >= amount or lowest is null then
      return query select unnest(found[:amount]);
      return;
    end if;
    -- Rarer than five in a thousand: the index finds them faster.
    exit when cardinality(found) < 5;
    edge := lowest;
  end loop;
  -- Gathered before they are put in order: the planner takes an unknown word for a common one, and would walk all cases for it.
  return query
    with hits as materialized (
      select c.id from mahalla.civic_case c
      where c.tenant_id = tenant and c.search @@ wanted
        and (before is null or c.id < before) and (types is null or c.type = any (types))
    )
    select id from hits order by id desc limit amount;
end
$$;
revoke execute on function mahalla.search_cases(uuid, text, uuid, text[], integer) from public;
grant execute on function mahalla.search_cases(uuid, text, uuid, text[], integer) to mahalla_app;

create table mahalla.case_link (
  tenant_id uuid not null,
  from_id uuid not null,
  kind text not null check (kind in ('parent', 'duplicate-of', 'caused-by')),
  to_id uuid not null,
  created_by uuid,
  created_at timestamptz not null,
  primary key (tenant_id, from_id, kind, to_id),
  check (from_id <> to_id),
  foreign key (tenant_id, from_id) references mahalla.civic_case (tenant_id, id) on delete cascade,
  foreign key (tenant_id, to_id) references mahalla.civic_case (tenant_id, id) on delete cascade
);
create index case_link_to on mahalla.case_link (tenant_id, to_id, kind);
-- One case has one parent and is the duplicate of one other.
create unique index case_link_single on mahalla.case_link (tenant_id, from_id, kind) where kind in ('parent', 'duplicate-of');
select mahalla.protect('mahalla.case_link', 'select, insert, delete');

create table mahalla.case_comment (
  tenant_id uuid not null,
  id uuid not null,
  case_id uuid not null,
  author_id uuid,
  visibility text not null check (visibility in ('public', 'internal')),
  text text not null check (length(text) between 1 and 10000),
  created_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id) on delete cascade,
  foreign key (tenant_id, author_id) references mahalla.principal (tenant_id, id)
);
create index case_comment_case on mahalla.case_comment (tenant_id, case_id, id);
select mahalla.protect('mahalla.case_comment', 'select, insert');

-- Who hears of a case beside its owner.
create table mahalla.case_subscriber (
  tenant_id uuid not null,
  case_id uuid not null,
  principal_id uuid not null,
  created_at timestamptz not null,
  primary key (tenant_id, case_id, principal_id),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id) on delete cascade,
  foreign key (tenant_id, principal_id) references mahalla.principal (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.case_subscriber', 'select, insert, delete');

create table mahalla.case_deadline (
  tenant_id uuid not null,
  case_id uuid not null,
  name text not null,
  -- Of no meaning while it is paused.
  due_at timestamptz not null,
  -- Working or plain seconds left when it was paused; null while paused: it has not begun, all of it is left.
  remaining integer,
  paused_at timestamptz,
  -- It passed and is a job now; the job deletes the row in the transaction of what it does.
  fired_at timestamptz,
  primary key (tenant_id, case_id, name),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id) on delete cascade
);
create index case_deadline_due on mahalla.case_deadline (due_at) where paused_at is null and fired_at is null;
select mahalla.protect('mahalla.case_deadline', 'select, insert, update, delete');

-- Answers to requests that carried an Idempotency-Key, written in the transaction of what they did.
create table mahalla.idempotency_key (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  -- All zeros stands for every anonymous visitor.
  principal_id uuid not null,
  route text not null,
  key text not null,
  -- base64url SHA-256 of the request's canonical JSON.
  body_hash text not null,
  status integer not null,
  answer jsonb,
  created_at timestamptz not null,
  primary key (tenant_id, principal_id, route, key)
);
create index idempotency_key_age on mahalla.idempotency_key (created_at);
select mahalla.protect('mahalla.idempotency_key', 'select, insert');

-- Takes a key for the transaction without waiting, and what is stored under it. A function, because each statement in it has a snapshot
-- of its own: one statement would look at what was there before the lock was taken, and miss what its last holder committed.
create function mahalla.take_idempotency_key(principal uuid, called text, given text)
  returns table (free boolean, body_hash text, status integer, answer jsonb)
  language plpgsql volatile
  as $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended(
    concat_ws(chr(31), 'mahalla.idempotency', mahalla.current_tenant(), principal, called, given), 0)) then
    return query select false, null::text, null::integer, null::jsonb;
    return;
  end if;
  return query
    select true, stored.body_hash, stored.status, stored.answer
    from (select) always left join mahalla.idempotency_key stored
      on stored.tenant_id = mahalla.current_tenant() and stored.principal_id = principal and stored.route = called and stored.key = given;
end
$$;
revoke execute on function mahalla.take_idempotency_key(uuid, text, text) from public;
grant execute on function mahalla.take_idempotency_key(uuid, text, text) to mahalla_app;
