-- The offence catalogue, and what detectors found.

create table mahalla.offence (
  tenant_id uuid not null references mahalla.tenant on delete cascade,
  -- Stable, as `red-light`.
  code text not null check (code ~ '^[a-z0-9][a-z0-9-]{0,59}$'),
  -- Article of the law, as `128-3(1)`.
  article text not null,
  title jsonb not null,
  -- Minor units of the tenant's currency.
  fine bigint not null check (fine >= 0),
  -- Share of the fine that the citizen gets, in ten-thousandths.
  reward_share integer not null default 1500 check (reward_share between 0 and 10000),
  active boolean not null default true,
  primary key (tenant_id, code)
);
select mahalla.protect('mahalla.offence', 'select, insert, update');

create table mahalla.finding (
  tenant_id uuid not null,
  id uuid not null,
  case_id uuid not null,
  -- The original it was found in, and the copy of the frame that was looked at.
  attachment_id uuid not null,
  frame_id uuid,
  kind text not null,
  -- Seconds from the start of a video.
  at double precision,
  -- Pixels in the frame: x, y, width, height.
  box jsonb not null,
  text text,
  country text,
  format text,
  confidence double precision not null check (confidence between 0 and 1),
  certain boolean not null,
  -- Algorithm and version: `plates/1.0.0`.
  model text not null,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, case_id) references mahalla.civic_case (tenant_id, id) on delete cascade
);
create index finding_case on mahalla.finding (tenant_id, case_id, id);
create index finding_attachment on mahalla.finding (tenant_id, attachment_id);
select mahalla.protect('mahalla.finding', 'select, insert, update, delete');
