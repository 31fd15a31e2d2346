-- Devices, what they are, how they show who they are, and what they measure.

-- Counts up with every change to what ingest must know (devices, profiles, credentials), and numbers the batches of readings in the order in which
-- they were committed: whoever stores readings does so under the registry it has read, or not at all.
create table mahalla.telemetry_head (
  tenant_id uuid primary key references mahalla.tenant on delete cascade,
  registry bigint not null,
  batch bigint not null default 0
) with (fillfactor = 20);
select mahalla.protect('mahalla.telemetry_head', 'select, insert, update');

create table mahalla.device_profile (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  name text not null,
  version integer not null default 1,
  -- Datastreams, decoder, expected interval, sensitivity: `ProfileDefinition`.
  definition jsonb not null,
  -- Days that readings are kept: one of the classes of mahalla.reading; 0 is for ever.
  retention smallint not null check (retention in (0, 7, 30, 90, 365, 1825)),
  created_at timestamptz not null,
  changed_at timestamptz not null,
  -- Registry number of the last change.
  changed bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
select mahalla.protect('mahalla.device_profile', 'select, insert, update, delete');

create table mahalla.device (
  tenant_id uuid not null,
  id uuid not null,
  -- What stands in topics.
  name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$'),
  title text not null default '',
  profile_id uuid not null,
  -- The gateway it sends through.
  parent_id uuid,
  gateway boolean not null default false,
  -- A retired one keeps its name and its readings, and is heard no more.
  status text not null default 'active' check (status in ('active', 'blocked', 'retired')),
  groups text[] not null default '{}',
  territory_id uuid,
  longitude double precision check (longitude between -180 and 180),
  latitude double precision check (latitude between -90 and 90),
  -- Where it is mounted, by the network's own identifier.
  asset_id uuid,
  attributes jsonb not null default '{}',
  -- Topic on which its network takes what is for it, from the topics on which it was last heard; null: it hears its own.
  downlink text,
  created_at timestamptz not null,
  changed bigint not null,
  primary key (tenant_id, id),
  unique (tenant_id, name),
  foreign key (tenant_id, profile_id) references mahalla.device_profile (tenant_id, id),
  foreign key (tenant_id, parent_id) references mahalla.device (tenant_id, id),
  foreign key (tenant_id, territory_id) references mahalla.territory (tenant_id, id)
);
create index device_changed on mahalla.device (tenant_id, changed);
create index device_of_profile on mahalla.device (tenant_id, profile_id);
create index device_of_asset on mahalla.device (tenant_id, asset_id) where asset_id is not null;
create index device_of_gateway on mahalla.device (tenant_id, parent_id) where parent_id is not null;
create index device_groups on mahalla.device using gin (groups);
select mahalla.protect('mahalla.device', 'select, insert, update');

-- When a device was last heard and what it says of itself. Apart from the device, for it changes all the time.
create table mahalla.device_presence (
  tenant_id uuid not null,
  device_id uuid not null,
  -- Event time of its newest word, and when it came.
  seen_at timestamptz,
  received_at timestamptz,
  -- When it will count as offline unless it is heard before; null for profiles without an interval.
  due_at timestamptz,
  offline_since timestamptz,
  -- Percent; dBm; dB.
  battery real,
  rssi real,
  snr real,
  primary key (tenant_id, device_id),
  foreign key (tenant_id, device_id) references mahalla.device (tenant_id, id) on delete cascade
) with (fillfactor = 50);
create index device_presence_due on mahalla.device_presence (due_at) where offline_since is null;
select mahalla.protect('mahalla.device_presence', 'select, insert, update, delete');

create table mahalla.device_credential (
  tenant_id uuid not null,
  id uuid not null,
  device_id uuid not null,
  kind text not null check (kind in ('token', 'basic', 'x509')),
  -- By what it is found: SHA-256 of the token, of the user's name, or of the certificate.
  lookup bytea not null,
  -- SHA-256 of the password, which is drawn by us and long; null for other kinds.
  secret bytea,
  -- First characters of the token, the user's name or the certificate's subject: for people.
  label text not null,
  valid_from timestamptz not null,
  valid_until timestamptz,
  revoked_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, kind, lookup),
  foreign key (tenant_id, device_id) references mahalla.device (tenant_id, id) on delete cascade
);
create index device_credential_of_device on mahalla.device_credential (tenant_id, device_id);
-- What connects does not say whose it is: ingest looks in all tenants, as the platform.
create index device_credential_lookup on mahalla.device_credential (kind, lookup);
select mahalla.protect('mahalla.device_credential', 'select, insert, update, delete');

-- Who may bring new devices: a certificate authority whose certificates name them, or a key that a manufacturer puts into all of its devices.
create table mahalla.device_provisioning (
  tenant_id uuid not null,
  id uuid not null,
  profile_id uuid not null,
  kind text not null check (kind in ('x509', 'key')),
  -- SHA-256 of the authority's certificate, or of the key.
  lookup bytea not null,
  -- DER, for `x509`.
  certificate bytea,
  -- Whether names must be registered before (`device.status` and all): an allow-list.
  registered_only boolean not null default false,
  -- Names of the devices it is for, with one star at most; null: all.
  names text,
  -- How many devices it may bring, and has brought; null: as many as come.
  most integer check (most > 0),
  brought integer not null default 0,
  label text not null,
  valid_until timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, kind, lookup),
  foreign key (tenant_id, profile_id) references mahalla.device_profile (tenant_id, id)
);
create index device_provisioning_lookup on mahalla.device_provisioning (kind, lookup);
select mahalla.protect('mahalla.device_provisioning', 'select, insert, update, delete');

-- Its number stands in every reading: a UUID there would be a quarter of the disk.
create table mahalla.datastream (
  tenant_id uuid not null,
  id uuid not null,
  number bigint generated always as identity,
  device_id uuid not null,
  key text not null,
  unit text not null,
  -- Classes in which it has readings, the present one last.
  retentions smallint[] not null,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, number),
  unique (tenant_id, device_id, key),
  foreign key (tenant_id, device_id) references mahalla.device (tenant_id, id) on delete cascade
);
select mahalla.protect('mahalla.datastream', 'select, insert, update');
grant usage on sequence mahalla.datastream_number_seq to mahalla_app, mahalla_platform;

-- The newest value by event time.
create table mahalla.datastream_last (
  tenant_id uuid not null,
  datastream bigint not null,
  at timestamptz not null,
  sequence bigint not null,
  value double precision not null,
  quality smallint not null,
  received_at timestamptz not null,
  primary key (tenant_id, datastream),
  foreign key (tenant_id, datastream) references mahalla.datastream (tenant_id, number) on delete cascade
) with (fillfactor = 50);
select mahalla.protect('mahalla.datastream_last', 'select, insert, update, delete');
