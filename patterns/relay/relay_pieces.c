#include "yami_relay_pieces.h"

#include "yami_base.h"

static uint64_t
s_width(const yami_piece_t *piece)
{
    return piece->last - piece->first + 1;
}

static void
s_count(yami_pieces_t *self, const yami_piece_t *piece, uint64_t width, bool is_more)
{
    if (is_more) {
        self->total += width;
        self->totals[piece->state] += width;
    } else {
        self->total -= width;
        self->totals[piece->state] -= width;
    }
}

void
yami_pieces_init(yami_pieces_t *self, size_t *all_p)
{
    YAM_ASSERT(all_p != NULL);
    *self = (yami_pieces_t) {.random = 0x9e3779b9u};
    self->all_p = all_p;
}

static uint32_t
s_states(const yami_piece_t *piece)
{
    return 1u << piece->state | (piece->left ? piece->left->states : 0) |
           (piece->right ? piece->right->states : 0);
}

//  Recomputes states from piece to the root, as long as something changes.
static void
s_update(yami_piece_t *piece)
{
    for (; piece != NULL; piece = piece->parent) {
        uint32_t states = s_states(piece);
        if (states == piece->states) {
            break;
        }
        piece->states = states;
    }
}

//  The pointer that points to piece.
static yami_piece_t **
s_link(yami_pieces_t *self, const yami_piece_t *piece)
{
    if (piece->parent == NULL) {
        return &self->root;
    }
    return piece->parent->left == piece ? &piece->parent->left : &piece->parent->right;
}

//  Lifts a child above its parent; the order stays.
static void
s_rotate_up(yami_pieces_t *self, yami_piece_t *child)
{
    yami_piece_t *parent = child->parent;
    yami_piece_t **link = s_link(self, parent);
    yami_piece_t **inner = parent->left == child ? &child->right : &child->left;
    if (parent->left == child) {
        parent->left = *inner;
    } else {
        parent->right = *inner;
    }
    if (*inner != NULL) {
        (*inner)->parent = parent;
    }
    *inner = parent;
    child->parent = parent->parent;
    parent->parent = child;
    *link = child;
    parent->states = s_states(parent);
    child->states = s_states(child);
}

static uint32_t
s_random(yami_pieces_t *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 17;
    self->random ^= self->random << 5;
    return self->random;
}

yami_piece_t *
yami_pieces_add(yami_pieces_t *self, uint64_t first, uint64_t last, yami_piece_state_t state)
{
    YAM_ASSERT(first <= last && state < YAMI_PIECE_STATES);
    yami_piece_t *parent = NULL;
    yami_piece_t **link = &self->root;
    while (*link != NULL) {
        parent = *link;
        YAM_ASSERT(last < parent->first || first > parent->last); //  (1)
        link = first < parent->first ? &parent->left : &parent->right;
    }
    yami_piece_t *piece = yami_alloc(sizeof *piece);
    piece->first = first;
    piece->last = last;
    piece->state = state;
    piece->parent = parent;
    piece->priority = s_random(self);
    piece->states = 1u << state;
    *link = piece;
    s_update(parent);
    while (piece->parent != NULL && piece->parent->priority < piece->priority) {
        s_rotate_up(self, piece);
    }
    s_update(piece->parent);
    self->count++;
    (*self->all_p)++;
    s_count(self, piece, s_width(piece), true);
    return piece;
}

void
yami_pieces_remove(yami_pieces_t *self, yami_piece_t *piece)
{
    s_count(self, piece, s_width(piece), false);
    while (piece->left != NULL && piece->right != NULL) {
        s_rotate_up(self,
                    piece->left->priority > piece->right->priority ? piece->left : piece->right);
    }
    yami_piece_t *child = piece->left != NULL ? piece->left : piece->right;
    *s_link(self, piece) = child;
    if (child != NULL) {
        child->parent = piece->parent;
    }
    //  All the way up: a state may have left, and rotations below the root hid that.
    for (yami_piece_t *above = piece->parent; above != NULL; above = above->parent) {
        above->states = s_states(above);
    }
    self->count--;
    (*self->all_p)--;
    yami_block_unref(&piece->reason);
    yami_free(piece);
}

void
yami_pieces_clear(yami_pieces_t *self)
{
    while (self->root != NULL) {
        yami_pieces_remove(self, self->root);
    }
}

yami_piece_t *
yami_pieces_find(const yami_pieces_t *self, uint64_t sequence)
{
    yami_piece_t *found = NULL;
    yami_piece_t *piece = self->root;
    while (piece != NULL) {
        if (piece->last >= sequence) {
            found = piece;
            piece = piece->left;
        } else {
            piece = piece->right;
        }
    }
    return found;
}

yami_piece_t *
yami_pieces_next(const yami_piece_t *piece)
{
    if (piece->right != NULL) {
        piece = piece->right;
        while (piece->left != NULL) {
            piece = piece->left;
        }
        return (yami_piece_t *) piece;
    }
    while (piece->parent != NULL && piece->parent->right == piece) {
        piece = piece->parent;
    }
    return piece->parent;
}

static yami_piece_t *
s_previous(const yami_piece_t *piece)
{
    if (piece->left != NULL) {
        piece = piece->left;
        while (piece->right != NULL) {
            piece = piece->right;
        }
        return (yami_piece_t *) piece;
    }
    while (piece->parent != NULL && piece->parent->left == piece) {
        piece = piece->parent;
    }
    return piece->parent;
}

yami_piece_t *
yami_pieces_lowest(const yami_pieces_t *self, yami_piece_state_t state)
{
    yami_piece_t *piece = self->root;
    uint32_t bit = 1u << state;
    if (piece == NULL || (piece->states & bit) == 0) {
        return NULL;
    }
    for (;;) {
        if (piece->left != NULL && (piece->left->states & bit) != 0) {
            piece = piece->left;
        } else if (piece->state == state) {
            return piece;
        } else {
            piece = piece->right;
            YAM_ASSERT(piece != NULL); //  (3)
        }
    }
}

void
yami_pieces_set_state(yami_pieces_t *self, yami_piece_t *piece, yami_piece_state_t state)
{
    s_count(self, piece, s_width(piece), false);
    piece->state = state;
    s_count(self, piece, s_width(piece), true);
    s_update(piece);
}

//  Cuts piece before at; returns the new upper part.
static yami_piece_t *
s_split(yami_pieces_t *self, yami_piece_t *piece, uint64_t at)
{
    YAM_ASSERT(at > piece->first && at <= piece->last);
    uint64_t last = piece->last;
    s_count(self, piece, last - at + 1, false);
    piece->last = at - 1;
    yami_piece_t *upper = yami_pieces_add(self, at, last, piece->state);
    upper->deliveries = piece->deliveries;
    upper->failures = piece->failures;
    upper->due_ms = piece->due_ms;
    upper->wait_ms = piece->wait_ms;
    upper->first_ms = piece->first_ms;
    upper->lease = piece->lease;
    upper->reason = yami_block_ref(piece->reason);
    return upper;
}

yami_piece_t *
yami_pieces_isolate(yami_pieces_t *self, yami_piece_t *piece, uint64_t first, uint64_t last)
{
    YAM_ASSERT(first <= last && first >= piece->first && last <= piece->last);
    if (first > piece->first) {
        piece = s_split(self, piece, first);
    }
    if (last < piece->last) {
        (void) s_split(self, piece, last + 1);
    }
    return piece;
}

void
yami_pieces_cut(yami_pieces_t *self, yami_piece_t *piece, uint64_t first, uint64_t last)
{
    YAM_ASSERT(first <= last && first >= piece->first && last <= piece->last);
    if (first == piece->first && last == piece->last) {
        yami_pieces_remove(self, piece);
    } else if (first == piece->first) {
        s_count(self, piece, last - first + 1, false);
        piece->first = last + 1;
    } else {
        if (last < piece->last) {
            (void) s_split(self, piece, last + 1);
        }
        s_count(self, piece, last - first + 1, false);
        piece->last = first - 1;
    }
}

static bool
s_can_join(const yami_piece_t *lower, const yami_piece_t *upper)
{
    return lower != NULL && upper != NULL && lower->last + 1 == upper->first &&
           lower->state == YAMI_PIECE_READY && upper->state == YAMI_PIECE_READY &&
           lower->deliveries == upper->deliveries && lower->failures == upper->failures &&
           lower->first_ms == upper->first_ms && lower->reason == upper->reason;
}

//  Puts upper's sequences into lower.
static yami_piece_t *
s_join(yami_pieces_t *self, yami_piece_t *lower, yami_piece_t *upper)
{
    uint64_t last = upper->last;
    yami_pieces_remove(self, upper);
    s_count(self, lower, last - lower->last, true);
    lower->last = last;
    return lower;
}

yami_piece_t *
yami_pieces_merge(yami_pieces_t *self, yami_piece_t *piece)
{
    yami_piece_t *before = s_previous(piece);
    if (s_can_join(before, piece)) {
        piece = s_join(self, before, piece);
    }
    yami_piece_t *after = yami_pieces_next(piece);
    if (s_can_join(piece, after)) {
        piece = s_join(self, piece, after);
    }
    return piece;
}

void
yami_pieces_check(const yami_pieces_t *self)
{
    uint64_t totals[YAMI_PIECE_STATES] = {0};
    uint64_t total = 0;
    size_t count = 0;
    uint64_t floor = 0;
    YAM_ASSERT(self->root == NULL || self->root->parent == NULL);
    for (const yami_piece_t *piece = yami_pieces_find(self, 0); piece != NULL;
         piece = yami_pieces_next(piece)) {
        YAM_ASSERT(piece->first <= piece->last && (floor == 0 || piece->first > floor)); //  (1)
        YAM_ASSERT(piece->states == s_states(piece));                                    //  (3)
        YAM_ASSERT(piece->parent == NULL || piece->parent->priority >= piece->priority);
        YAM_ASSERT((piece->state == YAMI_PIECE_LEASED) == (piece->lease != NULL));
        floor = piece->last;
        total += s_width(piece);
        totals[piece->state] += s_width(piece);
        count++;
    }
    YAM_ASSERT(total == self->total && count == self->count); //  (2)
    for (int state = 0; state < YAMI_PIECE_STATES; state++) {
        YAM_ASSERT(totals[state] == self->totals[state]);
    }
}
