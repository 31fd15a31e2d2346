-- Zones of a water network in which leaks are looked for, what was learnt of them, and the leaks that were found.

create table mahalla.hydraulic_zone (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  name text not null,
  -- `ZoneSensor`s, in the order of the effects.
  sensors jsonb not null,
  -- Places of a hydraulic model by name, and what a leak at each does to each sensor: 32-bit floats, place after place. Null: no model.
  places text[],
  effects bytea,
  version integer not null default 1,
  -- How often its leaks were accepted; the follower catches up with it.
  accepted integer not null default 0,
  changed_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, name),
  check ((places is null) = (effects is null))
);
select mahalla.protect('mahalla.hydraulic_zone', 'select, insert, update, delete');

-- As far as `telemetry_progress` of `leaks` says.
create table mahalla.hydraulic_zone_state (
  tenant_id uuid not null,
  zone_id uuid not null,
  -- SHA-256 of the time zone with the sensors, and of the places, of which it is.
  sensors bytea not null,
  places bytea not null,
  accepted integer not null,
  -- One state in two parts: what changes with every reading, and what changes once a night, which is the larger and is not written in between.
  night bytea not null,
  learnt bytea not null,
  -- For people: nights learnt, end of the last one's window, datastreams that said too little in it.
  nights integer not null,
  judged_at timestamptz,
  silent uuid[] not null,
  primary key (tenant_id, zone_id),
  foreign key (tenant_id, zone_id) references mahalla.hydraulic_zone (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.hydraulic_zone_state', 'select, insert, update, delete');

-- Leaks that were found and not yet accepted.
create table mahalla.leak (
  tenant_id uuid not null,
  zone_id uuid not null,
  -- End of the night that was enough.
  found_at timestamptz not null,
  since timestamptz not null,
  -- Null where only the inflow grew.
  place text,
  -- All places that are nearly as likely.
  places text[] not null,
  flow double precision,
  score real not null,
  explanation text not null,
  alert_id uuid,
  primary key (tenant_id, zone_id, found_at),
  foreign key (tenant_id, zone_id) references mahalla.hydraulic_zone (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.leak', 'select, insert, update, delete');
