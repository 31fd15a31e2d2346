-- Readings by time, in classes of how long they are kept; batches in their order of commit; what is derived from them, and how far.

create table mahalla.reading (
  tenant_id uuid not null,
  datastream bigint not null,
  -- The event's own time.
  at timestamptz not null,
  -- The sender's number, 0 where it has none: two with the same datastream, time and number are one.
  sequence bigint not null,
  value double precision not null,
  -- The transaction's own number.
  batch bigint not null,
  -- Days: names the class. Readings say it; the default is for rows that are put in by hand.
  retention smallint not null default 90,
  -- Bits: 1 outside the datastream's range, 2 from the device's memory.
  quality smallint not null,
  primary key (tenant_id, datastream, at, sequence, retention)
) partition by list (retention);
create index reading_batch_brin on mahalla.reading using brin (batch) with (pages_per_range = 16, autosummarize = on);
select mahalla.protect('mahalla.reading', 'select, insert');

create sequence mahalla.reading_batch_number;
grant usage on sequence mahalla.reading_batch_number to mahalla_app, mahalla_platform;

-- Batches in each tenant's order of commit: what everything derived follows.
create table mahalla.reading_batch (
  tenant_id uuid not null,
  -- Gap-free.
  number bigint not null,
  batch bigint not null,
  readings integer not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  received_at timestamptz not null,
  primary key (tenant_id, number)
);
create index reading_batch_age on mahalla.reading_batch (received_at);
select mahalla.protect('mahalla.reading_batch', 'select, insert');

-- Messages as they came, for a while: many to a row, as `rawMessages.ts` packs them.
create table mahalla.raw_message (
  tenant_id uuid not null,
  received_at timestamptz not null,
  batch bigint not null,
  until_at timestamptz not null,
  messages integer not null,
  body bytea not null,
  primary key (tenant_id, received_at, batch)
) partition by range (received_at);
alter table mahalla.raw_message alter column body set storage external;
select mahalla.protect('mahalla.raw_message', 'select, insert');

-- Roll-ups. Sums and counts of the readings whose time is in the bucket, whenever they came.
create table mahalla.reading_minute (
  tenant_id uuid not null,
  datastream bigint not null,
  at timestamptz not null,
  readings bigint not null,
  total double precision not null,
  minimum double precision not null,
  maximum double precision not null,
  first_at timestamptz not null,
  first double precision not null,
  last_at timestamptz not null,
  last double precision not null,
  primary key (tenant_id, datastream, at)
) partition by range (at);
select mahalla.protect('mahalla.reading_minute', 'select, insert, update');
create table mahalla.reading_hour (like mahalla.reading_minute including all) partition by range (at);
select mahalla.protect('mahalla.reading_hour', 'select, insert, update');
create table mahalla.reading_day (like mahalla.reading_minute including all) partition by range (at);
select mahalla.protect('mahalla.reading_day', 'select, insert, update');

-- How far a follower of the batches has written what it derives.
create table mahalla.telemetry_progress (
  tenant_id uuid not null,
  follower text not null,
  number bigint not null,
  primary key (tenant_id, follower)
) with (fillfactor = 20);
select mahalla.protect('mahalla.telemetry_progress', 'select, insert, update');

-- What detection and rules remember of a device, as far as `telemetry_progress` of `judge` says.
create table mahalla.device_state (
  tenant_id uuid not null,
  device_id uuid not null,
  state bytea not null,
  primary key (tenant_id, device_id),
  foreign key (tenant_id, device_id) references mahalla.device (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.device_state', 'select, insert, update, delete');

-- What could not be used, with its bytes.
create table mahalla.dead_letter (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  received_at timestamptz not null,
  device_id uuid,
  -- As the sender called it.
  device text not null,
  topic text not null,
  format text not null,
  payload bytea not null,
  reason text not null,
  detail text not null,
  -- Profile and codec under which it was read.
  profile_id uuid,
  profile_version integer,
  codec_version text,
  replayed_at timestamptz,
  primary key (tenant_id, id)
);
create index dead_letter_reason on mahalla.dead_letter (tenant_id, reason, id);
create index dead_letter_age on mahalla.dead_letter (tenant_id, received_at);
create index dead_letter_device on mahalla.dead_letter (tenant_id, device_id, id);
select mahalla.protect('mahalla.dead_letter', 'select, insert, update, delete');

do $$
declare
  days smallint;
  part text;
begin
  foreach days in array array[0, 7, 30, 90, 365, 1825]::smallint[] loop
    part := 'reading_' || days;
    execute format('create table mahalla.%I partition of mahalla.reading for values in (%s) partition by range (at)', part, days);
    execute format('alter table mahalla.%I enable row level security', part);
    execute format('alter table mahalla.%I force row level security', part);
    execute format('create policy platform_rows on mahalla.%I to mahalla_platform using (true) with check (true)', part);
  end loop;
end
$$;

-- Bounds of the partition that holds a moment: days, months or years of UTC.
create function mahalla.telemetry_bounds(parent text, moment timestamptz, out from_at timestamptz, out to_at timestamptz)
  language sql immutable parallel safe
  as $$
  select date_trunc(span, moment, 'UTC'), date_trunc(span, moment, 'UTC') + ('1 ' || span)::interval
  from (select case
    when parent in ('reading_7', 'reading_30', 'raw_message') then 'day'
    when parent = 'reading_90' then 'week'
    when parent in ('reading_365', 'reading_1825', 'reading_0', 'reading_minute') then 'month'
    else 'year'
  end) of_parent (span)
$$;

-- Makes the partition of `parent` for a moment unless it is there; gives its bounds. Readers and writers of the parent go on meanwhile.
create function mahalla.ensure_telemetry_partition(parent text, moment timestamptz, out from_at timestamptz, out to_at timestamptz)
  language plpgsql security definer set search_path = pg_catalog, mahalla set timezone = 'UTC'
  as $$
declare
  part text;
begin
  if parent not in ('reading_0', 'reading_7', 'reading_30', 'reading_90', 'reading_365', 'reading_1825', 'raw_message',
    'reading_minute', 'reading_hour', 'reading_day') then
    raise exception 'no such parent: %', parent;
  end if;
  select b.from_at, b.to_at into from_at, to_at from mahalla.telemetry_bounds(parent, moment) b;
  part := parent || '_p' || to_char(from_at, 'YYYYMMDD');
  if to_regclass('mahalla.' || part) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtextextended('mahalla.telemetry_partition', 0));
  -- Not to_regclass again: it may still remember that there was none.
  if exists (select from pg_class c where c.relname = part and c.relnamespace = 'mahalla'::regnamespace) then return; end if;
  -- Attached when it is ready, which keeps nobody from the parent; made inside it, it would.
  execute format('create table mahalla.%I (like mahalla.%I including defaults including constraints including storage)', part, parent);
  execute format('alter table mahalla.%I enable row level security', part);
  execute format('alter table mahalla.%I force row level security', part);
  execute format('create policy platform_rows on mahalla.%I to mahalla_platform using (true) with check (true)', part);
  execute format('alter table mahalla.%I attach partition mahalla.%I for values from (%L) to (%L)', parent, part, from_at, to_at);
end
$$;
revoke execute on function mahalla.ensure_telemetry_partition(text, timestamptz) from public;
grant execute on function mahalla.ensure_telemetry_partition(text, timestamptz) to mahalla_platform;

-- What the first readings of a new city need.
select from unnest(array['reading_0', 'reading_7', 'reading_30', 'reading_90', 'reading_365', 'reading_1825', 'raw_message', 'reading_minute',
  'reading_hour', 'reading_day']) as parent, lateral mahalla.ensure_telemetry_partition(parent, now());

-- Drops the partitions of `parent` that end before a moment, oldest first; the disk has its space back at the commit.
create function mahalla.drop_telemetry_partitions(parent text, before timestamptz) returns text[]
  language plpgsql security definer set search_path = pg_catalog, mahalla set timezone = 'UTC' set lock_timeout = '2s'
  as $$
declare
  part record;
  dropped text[] := '{}';
begin
  for part in
    select c.relname as name
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    join pg_class p on p.oid = i.inhparent
    where p.relnamespace = 'mahalla'::regnamespace and p.relname = parent and c.relname ~ ('^' || parent || '_p\d{8}$')
      and (select b.to_at from mahalla.telemetry_bounds(parent, (right(c.relname, 8) || ' UTC')::timestamptz) b) <= before
    order by 1
  loop
    execute format('drop table mahalla.%I', part.name);
    dropped := dropped || part.name::text;
  end loop;
  return dropped;
end
$$;
revoke execute on function mahalla.drop_telemetry_partitions(text, timestamptz) from public;
grant execute on function mahalla.drop_telemetry_partitions(text, timestamptz) to mahalla_platform;

-- Stores one batch in the caller's tenant, under the registry it was read with; another registry is the error MH001. Of a reading that is there
-- already nothing changes. Times are epoch milliseconds.
create function mahalla.store_readings(
  known bigint, received double precision, datastreams bigint[], times double precision[], sequences bigint[], given double precision[],
  retentions smallint[], qualities smallint[], out number bigint, out batch bigint, out stored integer)
  language plpgsql set search_path = pg_catalog, mahalla
  as $$
declare
  tenant uuid := mahalla.current_tenant();
begin
  batch := nextval('mahalla.reading_batch_number');
  insert into mahalla.reading (tenant_id, datastream, at, sequence, value, batch, retention, quality)
  select tenant, r.datastream, to_timestamp(r.time / 1000), r.sequence, r.value, store_readings.batch, r.retention, r.quality
  from unnest(datastreams, times, sequences, given, retentions, qualities) as r (datastream, time, sequence, value, retention, quality)
  on conflict do nothing;
  get diagnostics stored = row_count;
  -- Last, for whoever holds this row keeps others of the tenant from committing.
  update mahalla.telemetry_head h set batch = h.batch + (stored > 0)::int
  where h.tenant_id = tenant and h.registry = known returning h.batch into number;
  if number is null then
    raise exception 'the registry has changed' using errcode = 'MH001';
  end if;
  if stored > 0 then
    insert into mahalla.reading_batch (tenant_id, number, batch, readings, first_at, last_at, received_at)
    select tenant, store_readings.number, store_readings.batch, stored, to_timestamp(min(time) / 1000), to_timestamp(max(time) / 1000),
      to_timestamp(received / 1000)
    from unnest(times) as t (time);
  end if;
end
$$;
