"""The records that kernels share: what every thread knows of the run, and what a step of training consists of.

All fields have 8 bytes.
"""

import numpy as np

#: Where samples come from. What a pass names replaces this part of the frame.
SOURCE = (
    ("inputs", "i8"),  # address of the rows, or of the values of a sparse matrix or of sequences
    ("ld_inputs", "i8"),  # strides: from sample to sample,
    ("ld_steps", "i8"),  # from step to step,
    ("ld_features", "i8"),  # from feature to feature
    ("integers", "i8"),  # bytes of each number where they are integers without a sign; 0: of the network's own type
    ("indices", "i8"),  # of a CSR matrix
    ("indptr", "i8"),
    ("lengths", "i8"),  # of sequences; 0: all are whole
    ("targets", "i8"),
    ("n_targets", "i8"),
    ("weights", "i8"),
    ("order", "i8"),
    ("n_rows", "i8"),
    ("window", "i8"),  # on a GPU: first row at hand, where not all are
    ("seed", "i8"),
    ("generated", "i8"),  # whether a generator makes the samples: see `layers.adversarial`
)

#: What the kernels of layers need.
LAYERS = (
    ("rank", "i8"),  # number of this thread
    ("n_threads", "i8"),  # how many there are
    ("step_begin", "i8"),  # its piece of the time steps or pixels, where threads share these: from where,
    ("step_end", "i8"),  # to where,
    ("step_pieces", "i8"),  # in such parts of all; 1 where they share the rows
    ("barrier", "i8"),  # where they meet
    ("claims", "i8"),  # counters of what has been claimed of their shares,
    ("claims_pitch", "i8"),  # numbers from one thread's to the next one's
    ("walk", "i8"),  # number of the walk that claims,
    ("claims_rows", "i8"),  # and whether rows are claimed piece by piece
    ("ops", "i8"),
    ("n_ops", "i8"),
    ("passes", "i8"),
    ("n_passes", "i8"),
    ("product", "i8"),  # address of the matrix product,
    ("window_product", "i8"),  # and of that of windows
    ("params", "i8"),
    ("n_params", "i8"),
    ("panels", "i8"),  # of weights, where the weights themselves are in the vector of parameters
    ("window_panels", "i8"),  # the same of convolutions
    ("transposed", "i8"),  # panels of transposed weights
    ("gradient", "i8"),
    ("work", "i8"),  # buffers
    ("capacity", "i8"),  # rows in them
    ("scratch", "i8"),  # room of a thread: for gradients of some strips of weights, or what else an update works with,
    ("strips", "i8"),  # and for strips of a product
    ("statistics", "i8"),
    ("outputs", "i8"),
    ("losses", "i8"),
    ("hits", "i8"),  # whether a discriminator takes each row for a real one
    ("settings", "i8"),  # constants of the loss
    ("mixup", "i8"),  # quantiles of the shares with which samples are mixed; 0: they are not
    ("training", "i8"),
    ("phase", "i8"),
    ("begin", "i8"),  # the first operation that runs forward
    ("start", "i8"),  # rows of the batch before the chunk at hand, in the order of the epoch
    ("chunk", "i8"),  # rows of the chunk
    ("done", "i8"),  # rows of the batch before it
    ("scale", "f8"),  # one over the sum of the weights of the batch
    ("step", "i8"),
    ("batches", "i8"),  # steps, those of earlier fits counted
)

#: What updates need.
UPDATES = (
    ("optimizer", "i8"),
    ("state_s", "i8"),
    ("state_v", "i8"),
    ("constants", "i8"),  # of the optimizer, a row for every pass of every step
    ("now", "i8"),  # the row of this step and pass
    ("row_block", "i8"),  # rows of weights that are updated while they are in the cache
    ("alpha", "f8"),
    ("l1_ratio", "f8"),
    ("clip_norm", "f8"),
    ("clip_value", "f8"),
    ("max_norm", "f8"),
    ("weight_limit", "f8"),  # largest size of a parameter that a pass updates; 0: none
    ("spectral_norm", "f8"),  # largest spectral norm of a matrix of `spectra`; 0: any
    ("spectra", "i8"),  # of matrices of weights: records of `SPECTRUM`,
    ("n_spectra", "i8"),  # how many,
    ("limit_spectrum", "i8"),  # and the kernel that limits one
    ("factor", "f8"),  # that clips the gradient
    ("penalties", "i8"),  # partial sums of the penalty and of the squared gradient
    ("squares", "i8"),
    ("n_slots", "i8"),
    ("layer_norms", "i8"),  # norms of the layers' gradients, epoch by epoch
    ("n_layers", "i8"),
    ("roles", "i8"),  # on a GPU: what each parameter is
)

#: Where a run of epochs stands.
PROGRESS = (
    ("batch", "i8"),
    ("shuffle", "i8"),
    ("order_keys", "i8"),
    ("averaging", "f8"),
    ("row", "i8"),
    ("epoch", "i8"),
    ("steps_left", "i8"),
    ("steps_done", "i8"),
    ("epochs_left", "i8"),
    ("epochs_done", "i8"),
    ("epoch_losses", "i8"),
    ("notes", "i8"),  # `NOTES` of every pass of every epoch; 0: none are taken
    ("noted", "i8"),  # those of the pass at hand
    ("sum_loss", "f8"),
    ("best_loss", "f8"),
    ("tol", "f8"),
    ("no_improvement", "i8"),
    ("patience", "f8"),
    ("snapshot", "i8"),  # the parameters at the beginning of this epoch,
    ("best", "i8"),  # of the best one,
    ("best_epoch", "i8"),  # and which that was
    ("deadline", "f8"),  # in seconds
    ("clock", "i8"),  # room for a timespec
    ("clock_fraction", "i8"),
)

#: Every thread has its own frame and moves it on by itself; what threads share stands behind the addresses.
FRAME = np.dtype([*SOURCE, *LAYERS, *UPDATES, *PROGRESS])

#: A matrix of weights whose spectral norm is limited: where it stands, by which vector the norm is found, and how it is
#: laid out for products.
SPECTRUM = np.dtype(
    [
        ("weight", "i8"),  # among the parameters, as the vector is, too
        ("vector", "i8"),
        ("n_rows", "i8"),
        ("ld", "i8"),
        ("parts", "i8"),  # of the rows, each of which is laid out by itself
        ("transposed", "i8"),  # where it stands transposed, -1 for nowhere,
        ("ld_transposed", "i8"),  # and the length and number of rows there
        ("depth", "i8"),
        ("is_wide", "i8"),  # whether it is laid out in panels
    ]
)

#: A part of a step of training: operations forward and back, then the update of some of their parameters.
PASS = np.dtype(
    [
        ("begin", "i8"),  # operations that run forward: the first,
        ("end", "i8"),  # and the one after the last
        ("back", "i8"),  # the last operation that runs back, at the latest the first one that is updated
        ("update_begin", "i8"),  # operations whose parameters are updated
        ("update_end", "i8"),
        ("source", "i8"),  # address of where the samples come from; 0: as the frame has it
        ("counts", "f8"),  # how much its loss counts in that of the epoch
        (
            "reuses",
            "i8",
        ),  # the first that runs where all rows fit the buffers: what those before made is there; 0: begin
        ("gap_begin", "i8"),  # operations in between that do not run forward: the first,
        ("gap_end", "i8"),  # and the one after the last
        ("gathers", "i8"),  # whether the gradient is only summed, for the next pass to add its own and update
        ("every", "i8"),  # it runs in the last of so many steps; 0: in all
        ("rate", "f8"),  # what multiplies the learning rate; 0: nothing
        ("weight_limit", "f8"),  # largest size of a parameter that it updates; 0: none
        ("spectral_norm", "f8"),  # largest spectral norm of the matrices of the frame's `spectra`; 0: any
        ("averages", "i8"),  # where among the parameters the averages of the first ones begin; 0: nothing is averaged
        ("n_averaged", "i8"),
        ("decay", "f8"),  # of the averages, at the most
        ("ops", "i8"),  # address of the table of operations, with no gradients in it that this pass does not need
    ]
)

#: What is noted of a pass in an epoch: sums over its rows of the loss and of `hits`, and how many rows there were; the
#: sum of the norms of its gradients, and how often it ran.
NOTES = ("loss", "hits", "rows", "norm", "runs")

#: What an update does: sum the gradient and apply it, store it (or add it to the one so far), or apply that.
FUSED, COLLECT, APPLY = range(3)

#: Numbers an update of one step reads: five constants of the optimizer, and the share of a weight that decays.
N_CONSTANTS = 6
