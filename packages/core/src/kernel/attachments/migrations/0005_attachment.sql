-- Files of citizens (originals), and the copies that the engine makes of them (derived).

create table mahalla.attachment (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  id uuid not null,
  -- Null until the case exists that it is evidence of.
  case_id uuid,
  -- Null when the sender is anonymous: then the secret in the upload's address tells who may go on. Kept as hex SHA-256.
  owner_id uuid,
  secret_hash text,
  role text not null check (role in ('original', 'derived')),
  derived_from uuid,
  -- video, image, document of originals; standard, poster, frame … of derived ones. Known once the content is.
  kind text,
  name text,
  -- What the sender said, and what the leading bytes say.
  declared_type text,
  media_type text,
  -- Bytes: declared at first and held to.
  size bigint not null check (size > 0),
  sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
  -- Null again once the blob is gone.
  blob_key text,
  state text not null check (state in ('uploading', 'stored', 'rejected', 'deleted')),
  -- Why it was rejected: media-type, infected.
  reason text,
  -- Bytes that are safe in the segments: where the sender goes on.
  received bigint not null default 0 check (received between 0 and size),
  -- [[first byte, blob key], …] in order.
  segments jsonb not null default '[]',
  -- Somebody puts the segments together until then.
  completing_until timestamptz,
  metadata jsonb not null default '{}',
  -- Compact JWS.
  receipt text,
  created_at timestamptz not null,
  stored_at timestamptz,
  -- The sweeper may take it then; null: never.
  expires_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id),
  foreign key (tenant_id, owner_id) references mahalla.principal (tenant_id, id),
  foreign key (tenant_id, derived_from) references mahalla.attachment (tenant_id, id),
  check ((role = 'derived') = (derived_from is not null)),
  check (state <> 'stored' or (kind, media_type, sha256, blob_key, stored_at) is not null)
);
create index attachment_of_case on mahalla.attachment (tenant_id, case_id, id) where case_id is not null;
create index attachment_derived on mahalla.attachment (tenant_id, derived_from, id) where derived_from is not null;
-- Quotas: what somebody sent lately; nulls are the anonymous together.
create index attachment_of_owner on mahalla.attachment (tenant_id, owner_id, created_at) where role = 'original';
-- The sweeper: what ran out, what was never put together, and whose blob is still there.
create index attachment_expiry on mahalla.attachment (expires_at) where state in ('uploading', 'stored') and expires_at is not null;
create index attachment_complete on mahalla.attachment (tenant_id, id) where state = 'uploading' and received = size;
create index attachment_litter on mahalla.attachment (tenant_id, id) where state in ('rejected', 'deleted') and blob_key is not null;
select mahalla.protect('mahalla.attachment', 'select, insert, update');
