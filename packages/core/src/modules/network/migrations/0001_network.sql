-- Networks of pipes: what lies in the ground, how it hangs together, and what was brought in from where.

create table mahalla.network (
  tenant_id uuid not null references mahalla.tenant,
  id uuid not null,
  name text not null check (length(name) between 1 and 100),
  -- What it was last imported from; `hand` until then.
  source text not null default 'hand' check (source in ('hand', 'epanet', 'geojson')),
  -- How the file's coordinates become degrees; null where they are degrees or have no place.
  transform jsonb,
  -- Another one whenever an asset of it changes: graphs and tiles in memory are good for one revision.
  revision uuid not null,
  imported_at timestamptz,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
select mahalla.protect('mahalla.network', 'select, insert, update');

create table mahalla.asset (
  tenant_id uuid not null,
  id uuid not null,
  network_id uuid not null,
  -- Points are the graph's nodes, lines its links. EPANET numbers the two apart, so one name may be both.
  shape text not null check (shape in ('point', 'line')),
  kind text not null check (kind in ('pipe', 'valve', 'pump', 'reservoir', 'tank', 'junction', 'meter', 'hydrant', 'other')),
  external_id text not null check (length(external_id) between 1 and 100),
  -- For looking up by how it begins, whatever the case of its letters.
  search text collate "C" not null generated always as (lower(external_id)) stored,
  -- A line's ends.
  from_id uuid,
  to_id uuid,
  status text not null default 'open' check (status in ('open', 'closed')),
  -- False: it cannot be moved, so it stays as it is.
  operable boolean not null default true,
  -- Water passes from `from_id` to `to_id` only: pumps, check valves, pressure valves.
  directed boolean not null default false,
  -- Metres and millimetres.
  length double precision check (length >= 0),
  diameter double precision check (diameter >= 0),
  material text check (length(material) between 1 and 100),
  installed_on date,
  customers integer not null default 0 check (customers >= 0),
  -- Mean draw in m3/h; below zero where water comes in.
  demand double precision not null default 0,
  properties jsonb not null default '{}',
  -- WGS84. A line's place is the middle of its bounds; null where nobody knows.
  longitude double precision check (longitude between -180 and 180),
  latitude double precision check (latitude between -90 and 90),
  west double precision,
  south double precision,
  east double precision,
  north double precision,
  -- A line's, as in GeoJSON.
  coordinates jsonb,
  h3 bigint,
  -- How far it reaches from its place: 0 not at all, 1 up to 250 m, 2 up to 2,500 m, 3 further.
  reach smallint check (reach between 0 and 3),
  -- Of what the last import said of it; null for what was drawn by hand, which imports leave alone.
  digest text,
  version integer not null default 1,
  -- Gone from the ground or from the file. It stays, for cases and readings that point to it.
  retired_at timestamptz,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (tenant_id, id),
  unique (tenant_id, network_id, shape, external_id),
  foreign key (tenant_id, network_id) references mahalla.network (tenant_id, id),
  foreign key (tenant_id, from_id) references mahalla.asset (tenant_id, id),
  foreign key (tenant_id, to_id) references mahalla.asset (tenant_id, id),
  check ((shape = 'line') = (from_id is not null)),
  check ((shape = 'line') = (to_id is not null)),
  check (from_id <> to_id),
  check (shape = 'line' or coordinates is null),
  check (num_nulls(longitude, latitude, west, south, east, north, h3, reach) in (0, 8))
);
-- Lists of a network and its graph, and lists of everything.
create index asset_by_network on mahalla.asset (tenant_id, network_id, id desc) where retired_at is null;
create index asset_by_id on mahalla.asset (tenant_id, id desc) where retired_at is null;
-- Boxes, tiles, the nearest: see `places.ts`.
create index asset_by_place on mahalla.asset (tenant_id, reach, h3) where retired_at is null;
create index asset_by_search on mahalla.asset (tenant_id, search) where retired_at is null;
-- Whether a point is still somebody's end.
create index asset_by_from on mahalla.asset (tenant_id, from_id) where from_id is not null;
create index asset_by_to on mahalla.asset (tenant_id, to_id) where to_id is not null;
select mahalla.protect('mahalla.asset', 'select, insert, update');

create table mahalla.network_import (
  tenant_id uuid not null,
  id uuid not null,
  -- By name: the network may not be there before its first import has ended.
  network text not null,
  format text not null check (format in ('epanet', 'geojson')),
  options jsonb not null,
  state text not null check (state in ('waiting', 'running', 'done', 'failed')),
  -- Assets written, of all that are to be written.
  done integer not null default 0,
  total integer not null default 0,
  report jsonb,
  -- For whoever sent the file.
  error text,
  created_at timestamptz not null,
  finished_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id) references mahalla.tenant
);
create index network_import_newest on mahalla.network_import (tenant_id, id desc);
select mahalla.protect('mahalla.network_import', 'select, insert, update');
