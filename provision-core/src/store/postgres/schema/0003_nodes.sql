-- Processes that share the store, and how fast they call targets together.

CREATE TABLE "node" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "node__key" PRIMARY KEY ("realm", "key")
);

CREATE TABLE "pace" (
  "realm" text COLLATE "C" NOT NULL,
  "key" text COLLATE "C" NOT NULL,
  "version" bigint NOT NULL,
  "body" text NOT NULL,
  CONSTRAINT "pace__key" PRIMARY KEY ("realm", "key")
);
