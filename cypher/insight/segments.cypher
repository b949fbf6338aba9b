// title: What kinds of customers there are
// description: Communities of users by what they take an interest in, the largest first, each named after what sets it
//   apart: the shelves, makers and attribute values that its members meet more often than the others do. The job
//   "insight" finds them (Louvain's method on a graph of the users who are most alike, embeddings/segments.py) and
//   keeps the id of a community as long as most of its members stay. Of each trait stand the share of interest inside
//   and outside, and z, by how many standard deviations the log odds differ (Monroe et al. 2008). Members are those
//   most typical of it.
// param members: INTEGER in 0..1000 = 5 -- most members of each that are listed
// param limit: INTEGER = 50 -- most rows to return
// example: {}
// returns: segment STRING, name STRING, users INTEGER, share FLOAT, traits LIST<MAP>, members LIST<STRING>,
//   found ZONED DATETIME

CYPHER 25
MATCH (s:Segment)
WHERE s.id > ''
WITH collect(s) AS segments, sum(s.users) AS everyone
UNWIND segments AS s
WITH s, everyone
ORDER BY s.users DESC, s.id
LIMIT $limit
CALL (s) {
  MATCH (s)<-[in:IN_SEGMENT]-(u:User)
  WITH u, in
  ORDER BY in.strength DESC, u.id
  LIMIT $members
  RETURN collect(u.id) AS members
}
RETURN s.id AS segment, s.name AS name, s.users AS users, 1.0 * s.users / everyone AS share,
       [i IN range(0, size(s.traits) - 1) |
         {trait: s.traits[i], inside: s.inside[i], outside: s.outside[i], z: s.z[i]}] AS traits, members, s.at AS found
ORDER BY users DESC, segment
