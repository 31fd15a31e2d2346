-- Facts that happened. Writers only insert; the sequencer gives each tenant's gap-free order; consumers read that order.

create table mahalla.event (
  tenant_id uuid not null,
  -- UUIDv7: its time part is the partition key.
  id uuid not null,
  type text not null,
  case_id uuid,
  -- The principal who caused it; null for the engine itself.
  actor_id uuid,
  payload jsonb not null,
  -- Field → base64url SHA-256 over salt and value. Salts and values stand in event_personal and can be erased.
  commitments jsonb not null default '{}',
  occurred_at timestamptz not null,
  trace_id text,
  primary key (tenant_id, id)
) partition by range (id);
create table mahalla.event_default partition of mahalla.event default;
create index event_case on mahalla.event (tenant_id, case_id, id) where case_id is not null;
select mahalla.protect('mahalla.event', 'select, insert');

-- The smallest UUIDv7 of a moment.
create function mahalla.uuid_floor(moment timestamptz) returns uuid
  language sql immutable parallel safe
  as $$ select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$;

-- Makes the partitions of this month and the following ones. A month that already has rows in the default partition is left there.
create function mahalla.ensure_event_partitions(months integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, mahalla
  as $$
declare
  start_at timestamptz;
  made integer := 0;
  part text;
begin
  for ahead in 0..months loop
    start_at := date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + make_interval(months => ahead);
    part := 'event_' || to_char(start_at at time zone 'UTC', 'YYYYMM');
    if to_regclass('mahalla.' || part) is null and not exists (
      select from mahalla.event_default
      where id >= mahalla.uuid_floor(start_at) and id < mahalla.uuid_floor(start_at + interval '1 month')
    ) then
      execute format('create table mahalla.%I partition of mahalla.event for values from (%L) to (%L)',
        part, mahalla.uuid_floor(start_at), mahalla.uuid_floor(start_at + interval '1 month'));
      execute format('alter table mahalla.%I enable row level security', part);
      execute format('alter table mahalla.%I force row level security', part);
      -- A dump reads partitions one by one, as the owner, who is of this role.
      execute format('create policy platform_rows on mahalla.%I to mahalla_platform using (true) with check (true)', part);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;
revoke execute on function mahalla.ensure_event_partitions(integer) from public;
grant execute on function mahalla.ensure_event_partitions(integer) to mahalla_platform;
alter table mahalla.event_default enable row level security;
alter table mahalla.event_default force row level security;
create policy platform_rows on mahalla.event_default to mahalla_platform using (true) with check (true);
select mahalla.ensure_event_partitions(2);

create table mahalla.event_personal (
  tenant_id uuid not null,
  event_id uuid not null,
  field text not null,
  salt text not null,
  value jsonb not null,
  primary key (tenant_id, event_id, field),
  foreign key (tenant_id, event_id) references mahalla.event (tenant_id, id)
);
select mahalla.protect('mahalla.event_personal', 'select, insert');

-- Events without a place in the order yet. `arrival` is drawn when the row is inserted, so what was written after
-- reading something always stands behind it; the sequencer takes what it can see and deletes it.
create table mahalla.event_outbox (
  arrival bigint generated always as identity primary key,
  tenant_id uuid not null,
  event_id uuid not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, fillfactor = 70);
select mahalla.protect('mahalla.event_outbox', 'insert');
grant usage on sequence mahalla.event_outbox_arrival_seq to mahalla_app, mahalla_platform;

create table mahalla.event_order (
  tenant_id uuid not null,
  position bigint not null,
  event_id uuid not null,
  primary key (tenant_id, position),
  unique (tenant_id, event_id)
);
select mahalla.protect('mahalla.event_order', 'select');

-- The last position given in each tenant.
create table mahalla.event_head (
  tenant_id uuid primary key,
  position bigint not null
);
select mahalla.protect('mahalla.event_head', 'select');

-- How far a named consumer has read a tenant's order; moves in the transaction of the consumer's own effect.
create table mahalla.event_cursor (
  tenant_id uuid not null,
  consumer text not null,
  position bigint not null,
  failures integer not null default 0,
  retry_at timestamptz,
  last_error text,
  primary key (tenant_id, consumer)
);
select mahalla.protect('mahalla.event_cursor', 'select, insert, update');
